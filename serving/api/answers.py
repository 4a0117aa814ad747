"""How a question to the snapshot becomes an answer: revalidated, remembered, computed off the event loop.

A snapshot never changes, so snapshot and question name an answer for good: that is its ``ETag``, and the key under
which recent answers are kept.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anyio.to_thread
import orjson
from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from models.store.snapshots import Snapshot
from models.store.warehouse import WarehouseRepository

_SHAPE = "1"
"""Raise it when the same row is answered differently than before."""
_OPTIONS = orjson.OPT_UTC_Z
_KEPT_BYTES = 32_000_000
_CONTROL = "private, no-cache"  # keep it, but ask with If-None-Match whether it is still the newest


class Answers:
    """Answers questions to the snapshots of one application.

    Args:
        warehouse: What is asked.
        at_once: Most questions computed at the same time; more only take turns on the same cores.
        kept_bytes: Most bytes of recent answers kept; 0 keeps none.
    """

    def __init__(self, warehouse: WarehouseRepository, at_once: int = 4, kept_bytes: int = _KEPT_BYTES) -> None:
        self.warehouse = warehouse
        self._limiter = anyio.CapacityLimiter(at_once)
        self._most = self._room = kept_bytes
        self._recent: OrderedDict[str, bytes] = OrderedDict()

    async def give(self, request: Request, asked: BaseModel, snapshot: Snapshot, read: Callable[[], dict[str, Any]]) -> Response:
        """The answer to a question, or 304 when the client has it already.

        Args:
            request: The request.
            asked: Its parameters.
            snapshot: What is read.
            read: Computes the answer's members; runs on a thread.

        Raises:
            YiwangError: What ``read`` raises.
        """
        tag = _tag(snapshot, request.url.path, asked)
        headers = {"etag": tag, "cache-control": _CONTROL, "vary": "authorization"}
        if _has(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers=headers)
        body = self._recent.get(tag)
        if body is None:
            body = await anyio.to_thread.run_sync(lambda: _encoded(snapshot, read()), limiter=self._limiter)
            self._keep(tag, body)
        else:
            self._recent.move_to_end(tag)
        return Response(body, 200, headers, "application/json")

    def _keep(self, tag: str, body: bytes) -> None:
        if tag in self._recent or len(body) > self._most // 8:
            return
        self._recent[tag] = body
        self._room -= len(body)
        while self._room < 0:
            self._room += len(self._recent.popitem(last=False)[1])


def _encoded(snapshot: Snapshot, members: dict[str, Any]) -> bytes:
    return orjson.dumps({"as_of": snapshot.as_of.astimezone(UTC), "run_id": snapshot.run_id, **members}, _native, _OPTIONS)


def _native(value: Any) -> Any:
    if isinstance(value, datetime):  # a zone that orjson does not know
        return value.astimezone(UTC)
    raise TypeError(type(value).__name__)


def _tag(snapshot: Snapshot, path: str, asked: BaseModel) -> str:
    question = orjson.dumps([_SHAPE, snapshot.file, path, asked.model_dump(mode="json", exclude_none=True)])
    return f'"{hashlib.blake2b(question, digest_size=16).hexdigest()}"'


def _has(header: str | None, tag: str) -> bool:
    """Whether an ``If-None-Match`` names the tag; the comparison is weak (RFC 9110, 13.1.2)."""
    if header is None:
        return False
    given = [each.strip().removeprefix("W/") for each in header.split(",")]
    return tag in given or given == ["*"]
