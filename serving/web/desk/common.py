"""What all pages of the desk share: who asks, one transaction, forms that are done once, errors beside the form."""

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, TypeVar

import orjson
from fastapi import Request
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse, Response

from models.core.cases import versions
from models.core.matters.service import names as matters
from models.core.organisation import staff, windows
from models.core.organisation.units import names
from models.core.policy.service import Access, Principal, policy
from models.core.work.operations import Operations
from models.core.work.service import Actor, Work, work
from models.domain.errors import YiwangError
from serving.web.catalogue import staff_page
from serving.web.menu import MENU
from serving.web.templating import Templates

Found = TypeVar("Found")


@dataclass(frozen=True)
class Visit:
    """One request of somebody who has the page's permission.

    Attributes:
        request: The request.
        operations: The store and its clock.
        access: Who, and which rows.
        at: When.
        templates: Renders the answer.
    """

    request: Request
    operations: Operations
    access: Access
    at: datetime
    templates: Templates

    @property
    def principal(self) -> Principal:
        """Who."""
        return self.access.principal

    @property
    def units(self) -> dict[str, str]:
        """Code → name of the units in use, for those who may read them."""
        return self.offered("unit")

    def offered(self, kind: str) -> dict[str, str]:
        """What there is of a kind to choose from, code → name; one query a kind and request. Of the caller's units, where they work in some."""
        if kind not in self._offered:
            permission, load = OFFERED[kind]
            own = {grant.unit_code for grant in self.principal.grants if grant.unit_code}
            if not self.principal.may(permission):
                self._offered[kind] = {}
            else:
                with self.operations.database.read() as session:
                    self._offered[kind] = load(self, session, own)
        return self._offered[kind]

    @cached_property
    def _offered(self) -> dict[str, dict[str, str]]:
        return {}

    @property
    def today(self) -> date:
        """The day."""
        return self.at.astimezone(self.operations.settings.tzinfo).date()

    def read(self, do: Callable[[Session], Found]) -> Found:
        """Within a transaction that reads."""
        with self.operations.database.read() as session:
            return do(session)

    def write(self, do: Callable[[Work], Found]) -> Found:
        """Within a unit of work."""
        with self._work() as now:
            return do(now)

    def once(self, key: str, asked: Mapping[str, object], do: Callable[[Work], str]) -> str:
        """Do what a form asks for once, however often it is sent; the address to go to.

        Args:
            key: The form's own; a form that comes back with other content is another form.
            asked: What was filled in.
            do: Does it.

        Raises:
            YiwangError: YW-SERVE-013 without a key, or where it was used for something else; what ``do`` raises.
        """
        if not 8 <= len(key) <= 80:
            raise YiwangError("YW-SERVE-013")
        content = orjson.dumps({name: str(value) for name, value in asked.items()}, option=orjson.OPT_SORT_KEYS)
        request = {"method": "POST", "path": self.request.url.path, "body": self.operations.crypto.digest("request", hashlib.sha256(content).hexdigest())}
        with self._work() as now:
            try:
                known = now.answered(self.operations.crypto, f"form {key}", request)
            except YiwangError as error:
                raise YiwangError("YW-SERVE-013") from error
            if known is None:
                known = {"location": do(now)}
                now.answer(self.operations.crypto, f"form {key}", request, known)
        return str(known["location"])

    def page(self, template: str, status: int = 200, offers: Iterable[str] = (), **values: Any) -> Response:
        """A page with the menu of what the caller may see, a key for its forms, and what its fields offer to choose from."""
        menu = [(address, title) for address, title, permission in MENU if self.principal.may(permission)]
        return staff_page(self.request, self.templates, f"desk/{template}", status, here="desk", snapshot=None, menu=menu, units=self.units, offers={kind: self.offered(kind) for kind in sorted({"unit", *offers})}, key=secrets.token_urlsafe(16), **values)

    def _work(self) -> Any:
        roles = frozenset(grant.role for grant in self.principal.grants)
        return work(self.operations.database, Actor(self.principal.name, roles, self.principal.unit_code, f"permission:{self.access.permission}"), self.at)


def _slots(opens: Iterable[list[str]]) -> dict[str, str]:
    return dict.fromkeys(sorted({slot for slots in opens for slot in slots}), "")


OFFERED: dict[str, tuple[str, Callable[[Visit, Session, set[str]], dict[str, str]]]] = {
    "unit": ("organisation:read", lambda here, session, own: names(session)),
    "matter": ("matter:read", lambda here, session, own: matters(session, here.today, own)),
    "account": ("staff:read", lambda here, session, own: staff.names(session, policy().access(here.principal, "staff:read"))),
    "process": ("process:read", lambda here, session, own: versions.names(session)),
    "window": ("organisation:read", lambda here, session, own: {code: name for code, (name, _) in windows.names(session, own).items()}),
    "slot": ("organisation:read", lambda here, session, own: _slots(opens for _, opens in windows.names(session, own).values())),
}
"""Kind of field → the permission without which nothing is offered, and what there is, given the units in which the caller works."""


def visit(request: Request, templates: Templates, permission: str) -> Visit:
    """Who asks for a page, where they may.

    Raises:
        YiwangError: YW-SERVE-003 for nobody, YW-POLICY-001 without the permission.
    """
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None:
        raise YiwangError("YW-SERVE-003")
    operations: Operations = request.app.state.operations
    return Visit(request, operations, policy().access(principal, permission), operations.clock(), templates)


async def at_the_desk(request: Request) -> None:
    """A dependency of all pages of the desk: whoever may see none of them gets no answer from any.

    Raises:
        YiwangError: YW-SERVE-003 for nobody, YW-SERVE-004 without any of the menu's permissions.
    """
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is None:
        raise YiwangError("YW-SERVE-003")
    if not any(principal.may(permission) for _, _, permission in MENU):
        raise YiwangError("YW-SERVE-004")


def go(address: str) -> Response:
    """To another page, after a form."""
    return RedirectResponse(address, 303, {"cache-control": "no-store"})
