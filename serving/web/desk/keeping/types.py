"""What a page of maintenance is declared with, and how what people type becomes values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any
from uuid import UUID

from models.core.parties import rights
from models.core.policy.service import policy
from models.core.work.service import Work
from models.domain.codes import code_tables
from models.domain.errors import YiwangError
from models.store.operational.paging import Page, Paging
from serving.web.desk.common import Visit

Values = dict[str, str]


@dataclass(frozen=True)
class Field:
    """A field of a form.

    Attributes:
        name: Its name.
        title: What people see.
        kind: ``text``, ``date``, ``number``, ``url``, ``long``, ``private`` (never filled in again by us), ``hidden``, ``choice``, ``many`` (choices to tick; their values with spaces between), or what is offered
            with its name to choose from: ``unit``, ``account``, ``matter``, ``process``, ``window``, ``slot`` (:data:`serving.web.desk.common.OFFERED`).
        choices: Value → title.
        is_needed: It must be filled in.
        most: Characters at most.
        help: What helps to fill it in.
    """

    name: str
    title: str
    kind: str = "text"
    choices: Callable[[], dict[str, str]] = dict
    is_needed: bool = True
    most: int = 500
    help: str = ""


@dataclass(frozen=True)
class Told:
    """What a form has to say when it is done.

    Attributes:
        text: It.
        is_kept: The form stays as it was filled in, to be sent again.
    """

    text: str
    is_kept: bool = False


@dataclass(frozen=True)
class Form:
    """Something that may be done, to the whole list or to one row.

    Attributes:
        name: Its name.
        title: On the button.
        permission: Who may.
        do: Does it; what it returns is shown once (a secret, or a word), None for nothing to show.
        fields: What it asks for.
        fills: What a row fills in.
        is_for: Whether it is offered for a row as it stands.
        is_end: The row is not there any more afterwards.
        lands: Where one goes afterwards, where that is not the list or the row.
    """

    name: str
    title: str
    permission: str
    do: Callable[[Visit, Work, Values], str | Told | None]
    fields: Sequence[Field] = ()
    fills: Callable[[Any], Values] = lambda row: {}
    is_for: Callable[[Any], bool] = lambda row: True
    is_end: bool = False
    lands: Callable[[Values], str] | None = None


@dataclass(frozen=True)
class Link:
    """A value that leads somewhere."""

    text: str
    address: str


@dataclass(frozen=True)
class Text:
    """A value that is shown as it is written, line by line."""

    text: str


@dataclass(frozen=True)
class Seen:
    """One row, in full.

    Attributes:
        title: Of the page.
        facts: Title and value of each fact: text, a day, an instant, :class:`Link`, :class:`Text`, markup, or a list of these.
        row: The row, for its forms.
    """

    title: str
    facts: Sequence[tuple[str, Any]]
    row: Any


@dataclass(frozen=True)
class Area:
    """A list that is kept.

    Attributes:
        title: What people see.
        permission: Who may look.
        load: The rows of a page that meet the filters; an empty filter is none. None: no list, only forms.
        columns: Title and value of each column.
        key: Identifies a row; with its version, where it has one, it goes into the row's forms.
        filters: What the list may be narrowed by.
        create: Forms above the list.
        on_row: Forms of a row; beside each, or on the row's own page where it has one.
        is_watched: Looking is itself written down.
        look: One row in full, by its key, on a page of its own.
        top: What stands above the list.
        above: Address and title of the page that leads here, for a list that is not in the menu.
        within: Key of a row → filters of the list that it stands in, for a list of something's parts.
    """

    title: str
    permission: str
    load: Callable[[Visit, Any, Paging, Values], Page[Any]] | None = None
    columns: Sequence[tuple[str, Callable[[Visit, Any], Any]]] = ()
    key: Callable[[Any], str] = str
    filters: Sequence[Field] = ()
    create: Sequence[Form] = ()
    on_row: Sequence[Form] = ()
    is_watched: bool = False
    look: Callable[[Visit, Any, str], Seen] | None = None
    top: Callable[[Visit, Any], Sequence[tuple[str, Any]]] | None = None
    above: tuple[str, str] | None = None
    within: Callable[[str], Values] = lambda key: {}


REASON = Field("reason", "理由")
UNIT = Field("unit_code", "机构", "unit", is_needed=False)


def column(name: str) -> Callable[[Visit, Any], Any]:
    """The row's own attribute."""
    return lambda here, row: getattr(row, name)


def unit(name: str) -> Callable[[Visit, Any], Any]:
    """The unit whose code the row has, by its name."""

    def shown(here: Visit, row: Any) -> Any:
        code = getattr(row, name)
        return f"{here.units[code]}（{code}）" if code in here.units else code

    return shown


def text(name: str) -> Callable[[Any], str]:
    """The row's key, as text."""
    return lambda row: str(getattr(row, name))


def matter(name: str) -> Callable[[Visit, Any], Any]:
    """The matter whose code the row has, by its name, on its page."""

    def shown(here: Visit, row: Any) -> Any:
        code = getattr(row, name)
        return Link(f"{here.offered('matter').get(code, '事项')}（{code}）", f"/desk/keep/matters/{code}") if code else None

    return shown


def party_of(here: Visit, now: Work, values: Values) -> UUID:
    """The party whose number was typed in; that somebody looked is in the audit.

    Raises:
        YiwangError: YW-POLICY-001 for who may not look for parties; YW-PARTY-001 for a number that is none; YW-STORE-011 where nobody has it.
    """
    access = policy().access(here.principal, "party:read")
    found = rights.search(now, here.operations.crypto, access, id_type_code=values["id_type_code"], number=values["number"])
    if not found:
        raise YiwangError("YW-STORE-011", what="办事主体", key="该证件号码，请先在“办事主体”登记")
    return found[0].id


PARTY = (Field("id_type_code", "证件类型", "choice", lambda: dict(code_tables()["L.id_type"])), Field("number", "证件号码", "private"))
"""Fields that :func:`party_of` reads."""


def nothing(_: object) -> None:
    """Done, and nothing to show."""


def roles() -> dict[str, str]:
    """Role → title."""
    return {name: role.title for name, role in policy().roles.items()}


def day(typed: str) -> date:
    """A day as a browser sends it.

    Raises:
        YiwangError: YW-DOMAIN-001.
    """
    try:
        return date.fromisoformat(typed)
    except ValueError:
        raise YiwangError("YW-DOMAIN-001", value=typed) from None


def days(typed: str) -> list[date]:
    """Days with spaces or commas between them."""
    return [day(each) for each in typed.replace("，", " ").replace(",", " ").split()]


def start_of(typed: str, zone: tzinfo) -> datetime:
    """The first instant of a day."""
    return datetime.combine(day(typed), datetime.min.time(), zone)


def whole(typed: str, most: int = 10_000) -> int:
    """A number of something.

    Raises:
        YiwangError: YW-SERVE-005.
    """
    if not (typed.isascii() and typed.isdigit() and 0 < int(typed) <= most):
        raise YiwangError("YW-SERVE-005", name="数量", detail=f"应为 1 到 {most} 的整数")
    return int(typed)


def version(values: Values) -> int:
    """The version that the person saw."""
    return int(values["version"]) if values.get("version", "").isdigit() else 0
