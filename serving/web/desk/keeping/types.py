"""What a page of maintenance is declared with, and how what people type becomes values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Any

from models.core.policy.service import policy
from models.core.work.service import Work
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
        kind: ``text``, ``date``, ``number``, ``url``, ``long``, ``choice``, or ``unit``: a unit's code, offered with the names.
        choices: Value → title.
        is_needed: It must be filled in.
    """

    name: str
    title: str
    kind: str = "text"
    choices: Callable[[], dict[str, str]] = dict
    is_needed: bool = True


@dataclass(frozen=True)
class Form:
    """Something that may be done, to the whole list or to one row.

    Attributes:
        name: Its name.
        title: On the button.
        permission: Who may.
        do: Does it; what it returns is shown once (a secret), None for nothing to show.
        fields: What it asks for.
    """

    name: str
    title: str
    permission: str
    do: Callable[[Visit, Work, Values], str | None]
    fields: Sequence[Field] = ()


@dataclass(frozen=True)
class Area:
    """A list that is kept.

    Attributes:
        title: What people see.
        permission: Who may look.
        load: The rows of a page that meet the filters; an empty filter is none.
        columns: Title and value of each column.
        key: Identifies a row; with its version, where it has one, it goes into the row's forms.
        filters: What the list may be narrowed by.
        create: Forms above the list.
        on_row: Forms of a row.
        is_watched: Looking is itself written down.
    """

    title: str
    permission: str
    load: Callable[[Visit, Any, Paging, Values], Page[Any]]
    columns: Sequence[tuple[str, Callable[[Visit, Any], Any]]]
    key: Callable[[Any], str]
    filters: Sequence[Field] = ()
    create: Sequence[Form] = ()
    on_row: Sequence[Form] = ()
    is_watched: bool = False


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
