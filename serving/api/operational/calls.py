"""What all routes of the operational API have in common: rights, one transaction, ETags, idempotency, pages.

A router names a permission, receives a :class:`Call`, and hands one service call to it. Conventions as clients see them:
docs/api.md. What does not belong here: rules.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import to_json
from sqlalchemy.orm import Session
from starlette.responses import Response

from models.core.crypto.service import CryptoProvider
from models.core.policy.service import Access, Principal, policy
from models.core.work.operations import Operations
from models.core.work.service import Actor, Work, work
from models.domain.documents import checked
from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.operational.paging import DEFAULT_LIMIT, MOST_LIMIT, Page, Paging
from serving.problems import MEDIA_TYPE, Problem

PREFIX = "/api/v1"
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}}
    for status, description in (
        (400, "缺少 Idempotency-Key，或格式不正确"), (401, "未登录"), (403, "没有权限"), (404, "没有此记录，或无权查看"), (408, "内容没有及时传完"), (409, "当前状态下不能这样做"),
        (412, "内容已被他人修改"), (413, "内容过大"), (422, "参数或内容有误"), (428, "缺少 If-Match"), (429, "请求过于频繁"), (503, "业务数据库暂不可用"),
    )
}  # fmt: skip
BEARER = Security(HTTPBearer(auto_error=False, description="访问令牌或系统密钥"))
_JSON = "application/json"
_KEPT = "private, no-store"


class Strict(BaseModel):
    """A request's body or parameters: what is not named is refused."""

    model_config = ConfigDict(extra="forbid")


Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""One line."""
LongText = Annotated[str, Field(min_length=1, max_length=4000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
"""Several lines."""
Code = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_.()\-]+$")]
"""A code of ours or of a standard."""
Number = Annotated[int, Field(ge=0, le=2**31 - 1)]


Document = Annotated[dict[str, Any], AfterValidator(checked)]
"""JSON without a form of its own."""


class PageParameters(Strict):
    """Of every list."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MOST_LIMIT, description="每页行数")
    cursor: str | None = Field(None, max_length=1000, description="上一页给出的 next；其他参数须与上一页相同")

    @property
    def paging(self) -> Paging:
        """For the services."""
        return Paging(self.limit, self.cursor)


Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True)
class Call:
    """One request of somebody who has the route's permission.

    Attributes:
        operations: What it works on.
        access: Who asks, and which rows are reached.
        request: The request.
        at: When: one instant for the whole.
    """

    operations: Operations
    access: Access
    request: Request
    at: datetime

    @property
    def principal(self) -> Principal:
        """Who asks."""
        return self.access.principal

    @property
    def crypto(self) -> CryptoProvider:
        """Encrypts and digests."""
        return self.operations.crypto

    @property
    def settings(self) -> Settings:
        """Zone, limits."""
        return self.operations.settings

    @property
    def today(self) -> date:
        """The day on which the call is made."""
        return self.at.astimezone(self.settings.tzinfo).date()

    def one(self, read: Callable[[Session], BaseModel]) -> Response:
        """A single thing; its ``version``, where it has one, is its ETag."""
        with self.operations.database.read() as session:
            found = read(session)
        headers = _headers(found)
        if headers.get("etag") and headers["etag"] in [each.strip().removeprefix("W/") for each in self.request.headers.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers=headers)
        return Response(found.model_dump_json(), 200, headers, _JSON)

    def page(self, read: Callable[[Session], Page[Any]], shown: Callable[[Any], BaseModel]) -> Response:
        """A page of a list."""
        with self.operations.database.read() as session:
            found = read(session)
            items = [shown(row) for row in found.items]
        return Response(to_json({"items": items, "next": found.next}), 200, {"cache-control": _KEPT}, _JSON)

    def watched_page(self, read: Callable[[Work], Page[Any]], shown: Callable[[Any], BaseModel]) -> Response:
        """A page of a list whose reading is itself written down."""
        with self._work() as now:
            found = read(now)
            items = [shown(row) for row in found.items]
        return Response(to_json({"items": items, "next": found.next}), 200, {"cache-control": _KEPT}, _JSON)

    def disclose(self, do: Callable[[Work], BaseModel]) -> Response:
        """Show something in clear, which is written down each time and kept nowhere, not as the answer to a repeated request either."""
        with self._work() as now:
            shown = do(now)
        return Response(shown.model_dump_json(), 200, {"cache-control": _KEPT}, _JSON)

    def post(self, body: BaseModel | None, do: Callable[[Work], BaseModel], *, status: int = 201, location: Callable[[Any], str] | None = None, shown_once: str | None = None) -> Response:
        """Do something once, however often the same request comes (``Idempotency-Key``).

        Args:
            body: What was sent.
            do: Does it.
            status: Status of the answer.
            location: Address of what was made.
            shown_once: Field that is shown the first time only, and not kept.

        Raises:
            YiwangError: YW-SERVE-010 without a key, YW-CORE-005 for one used for another request, and what ``do`` raises.
        """
        key = self.request.headers.get("idempotency-key", "")
        if not (8 <= len(key) <= 80 and key.isascii() and key.isprintable() and " " not in key):
            raise YiwangError("YW-SERVE-010")
        request = {"method": self.request.method, "path": self.request.url.path, "body": self._digest(body)}
        try:
            with self._work() as now:
                if (known := now.answered(self.crypto, key, request)) is None:
                    made = do(now)
                    now.session.flush()
                    known = {"status": status, "headers": _headers(made), "body": made.model_dump(mode="json")}
                    if location is not None:
                        known["headers"]["location"] = location(made)
                    now.answer(self.crypto, key, request, known if shown_once is None else known | {"body": known["body"] | {shown_once: None}})
        except YiwangError as error:
            if error.code != "YW-STORE-010" or (first := self._answered_meanwhile(key, request)) is None:
                raise self._said(error) from error
            known = first
        return Response(orjson.dumps(known["body"]), known["status"], known["headers"], _JSON)

    def change(self, do: Callable[[Work, int], BaseModel]) -> Response:
        """Change something that the client has read (``If-Match``).

        Args:
            do: Receives the version that the client saw.

        Raises:
            YiwangError: YW-SERVE-012 without ``If-Match``, YW-SERVE-011 where it was changed since, and what ``do`` raises.
        """
        seen = self.version()
        try:
            with self._work() as now:
                made = do(now, seen)
                now.session.flush()
                body, headers = made.model_dump_json(), _headers(made)
        except YiwangError as error:
            raise self._said(error) from error
        return Response(body, 200, headers, _JSON)

    def remove(self, do: Callable[[Work, int], object]) -> Response:
        """Remove something that the client has read (``If-Match``); errors as :meth:`change`."""
        seen = self.version()
        try:
            with self._work() as now:
                do(now, seen)
        except YiwangError as error:
            raise self._said(error) from error
        return Response(status_code=204)

    def seen(self) -> int | None:
        """The version that the client saw, None where it does not say."""
        return self.version() if "if-match" in self.request.headers else None

    def version(self) -> int:
        """The version that the client saw.

        Raises:
            YiwangError: YW-SERVE-012 where it does not say, YW-SERVE-011 where it says something else.
        """
        given = self.request.headers.get("if-match", "").strip()
        if not given:
            raise YiwangError("YW-SERVE-012")
        number = given.removeprefix("W/").strip('"')
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise YiwangError("YW-SERVE-011")
        return int(number)

    def _said(self, error: YiwangError) -> YiwangError:
        """A lost race is a failed precondition where the client stated one (RFC 9110, 13.1.1)."""
        return YiwangError("YW-SERVE-011") if error.code == "YW-STORE-010" and "if-match" in self.request.headers else error

    def _work(self) -> Any:
        roles = frozenset(grant.role for grant in self.principal.grants)
        actor = Actor(self.principal.name, roles, self.principal.unit_code, f"permission:{self.access.permission}")
        return work(self.operations.database, actor, self.at)

    def _digest(self, body: BaseModel | None) -> str:
        """Of the request's content; keyed, as it may hold numbers that could be guessed."""
        content = body.model_dump_json() if body is not None else ""
        return self.crypto.digest("request", hashlib.sha256(content.encode()).hexdigest())

    def _answered_meanwhile(self, key: str, request: dict[str, Any]) -> dict[str, Any] | None:
        with self._work() as now:
            first: dict[str, Any] | None = now.answered(self.crypto, key, request)
            return first


def permitted(permission: str) -> Any:
    """A route's dependency: a :class:`Call` of a principal that has the permission for some rows.

    Raises:
        YiwangError: YW-SERVE-003 for nobody, YW-POLICY-001 without the permission.
    """

    async def call(request: Request) -> Call:  # on the event loop: nothing in it waits
        principal: Principal | None = getattr(request.state, "principal", None)
        if principal is None:
            raise YiwangError("YW-SERVE-003")
        access = policy().access(principal, permission)
        operations: Operations = request.app.state.operations
        return Call(operations, access, request, operations.clock())

    policy().permissions[permission]  # a route that asks for what is not in the policy does not start
    call.permission = permission  # type: ignore[attr-defined]
    return Depends(call)


def _headers(found: BaseModel) -> dict[str, str]:
    version = getattr(found, "version", None)
    return {"cache-control": _KEPT} | ({"etag": f'"{version}"'} if isinstance(version, int) else {})
