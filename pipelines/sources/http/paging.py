"""How a server gives a long list in pages: what is sent for a page, and what comes after it.

A **place** says which page; it is JSON, so that the next sync can go on there. What does not belong here: requests,
and what is done when rows move from page to page (:mod:`pipelines.sources.http.listing`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import httpx
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pipelines.sources.http.records import at

Place = Mapping[str, Any]
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_NEXT = re.compile(r';\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next\b)', re.IGNORECASE)


@dataclass(frozen=True)
class Reply:
    """A page as the server gave it.

    Attributes:
        records: Its records.
        document: The whole answer.
        headers: Its headers.
        time: Microseconds since 1970 at the server when it was given.
    """

    records: list[dict[str, Any]]
    document: Any
    headers: httpx.Headers
    time: int


class Paging(BaseModel):
    """What all ways of paging have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    size: str | None = Field(None, description="Parameter that takes `page_size`.")
    more: str | None = Field(None, description="Path of a flag in the answer that is false on the last page.")
    total: str | None = Field(None, description="Path of the number of all records in the answer.")
    shifting: bool = Field(False, description="Rows may move from page to page while the list is read.")

    overlaps: ClassVar[bool] = False

    def start(self) -> Place:
        """The first page."""
        return {}

    def send(self, place: Place) -> Mapping[str, str | int]:
        """The parameters that ask for a page."""
        return place

    def link(self, place: Place) -> str | None:
        """The address that asks for a page, where it is not the location."""
        return None

    def after(self, place: Place, reply: Reply, largest: int) -> Place | None:
        """The page after this one; None: this is the last.

        Args:
            place: This page.
            reply: What came.
            largest: The greatest number of records that a page of this listing had.

        Raises:
            ValueError: The answer does not say what it should; the text is the sentence for people.
        """
        raise NotImplementedError

    def is_last(self, reply: Reply) -> bool | None:
        """What the flag ``more`` says; None where there is none."""
        if self.more is None:
            return None
        return str(at(reply.document, self.more)).lower() in ("false", "0", "none", "", "n", "no")

    def is_complete(self, reply: Reply, first: int) -> bool | None:
        """Whether ``total`` is reached with this page, whose first record has the number ``first``; None without total."""
        if self.total is None:
            return None
        text = str(at(reply.document, self.total))
        if not text.isdigit():
            raise ValueError(f"的应答里没有 total 所指的 {self.total}")
        if first + len(reply.records) < int(text):
            if not reply.records:
                raise ValueError(f"说有 {int(text)} 条记录，读到第 {first} 条就没有了，请联系接口的管理方")
            return False
        return True


class Whole(Paging):
    """One answer holds all."""

    by: Literal["none"] = "none"

    def after(self, place: Place, reply: Reply, largest: int) -> Place | None:
        """None."""
        return None


class Pages(Paging):
    """Pages by number."""

    by: Literal["page"] = "page"
    number: str = Field("page", description="Parameter that takes the number of the page.")
    size: str | None = Field("page_size", description="Parameter that takes `page_size`.")
    first: int = Field(1, ge=0, description="Number of the first page.")
    shifting: bool = True

    def start(self) -> Place:
        """The first page."""
        return {"page": self.first}

    def send(self, place: Place) -> Mapping[str, str | int]:
        """The number."""
        return {self.number: place["page"]}

    def after(self, place: Place, reply: Reply, largest: int) -> Place | None:
        """The next number, until the flag, the total or an empty page."""
        last = self.is_last(reply)
        if last is None:
            last = self.is_complete(reply, (place["page"] - self.first) * largest)
        return None if (not reply.records if last is None else last) else {"page": place["page"] + 1}


class Offsets(Paging):
    """Pages by the number of records before them; each begins with the last records of the one before."""

    by: Literal["offset"] = "offset"
    offset: str = Field("offset", description="Parameter that takes the number of records to skip.")
    size: str | None = Field("limit", description="Parameter that takes `page_size`.")
    shifting: bool = True
    overlaps = True

    def start(self) -> Place:
        """The first record."""
        return {"offset": 0, "overlap": 0}

    def send(self, place: Place) -> Mapping[str, str | int]:
        """How many to skip."""
        return {self.offset: place["offset"]}

    def after(self, place: Place, reply: Reply, largest: int) -> Place | None:
        """A little before the end of this page, until the flag, the total or an empty page."""
        last = self.is_last(reply)
        if last is None:
            last = self.is_complete(reply, place["offset"])
        count = len(reply.records)
        if not count or last:
            return None
        overlap = min(10, max(1, largest // 10), count - 1) if self.shifting else 0
        return {"offset": place["offset"] + count - overlap, "overlap": overlap}


class Cursor(Paging):
    """Each answer holds a token that asks for the next page."""

    by: Literal["cursor"] = "cursor"
    send_as: str = Field("cursor", description="Parameter that takes the token.")
    next: str | None = Field(None, description="Path of the next token in the answer; none on the last page.")
    header: str | None = Field(None, description="Header that holds the next token, instead of a path.")

    def send(self, place: Place) -> Mapping[str, str | int]:
        """The token."""
        return {self.send_as: place["cursor"]} if place else {}

    def after(self, place: Place, reply: Reply, largest: int) -> Place | None:
        """The next token."""
        token = reply.headers.get(self.header) if self.header else at(reply.document, self.next or "next_cursor")
        if self.is_last(reply) or token in (None, "", False):
            return None
        if not isinstance(token, str):
            raise ValueError("的下一页游标不是文字或数字，请检查 paging 的 next")
        return {"cursor": str(token)}


class Link(Paging):
    """Each answer holds the address of the next page: the header ``Link`` (RFC 8288), or a path."""

    by: Literal["link"] = "link"
    next: str | None = Field(None, description="Path of the next address in the answer; default: the header Link.")
    shifting: bool = True

    def send(self, place: Place) -> Mapping[str, str | int]:
        """Nothing: the address says all."""
        return {}

    def link(self, place: Place) -> str | None:
        """The address."""
        return place.get("url")

    def after(self, place: Place, reply: Reply, largest: int) -> Place | None:
        """The next address."""
        found = at(reply.document, self.next) if self.next else _linked(reply.headers.get("link", ""))
        if self.is_last(reply) or not found:
            return None
        if not isinstance(found, str):
            raise ValueError("的下一页地址不是文字，请检查 paging 的 next")
        return {"url": found}


class Keyset(Paging):
    """Pages by the last record read: the server gives what comes after it, ordered by time and id."""

    by: Literal["keyset"] = "keyset"
    after_id: str = Field("after_id", description="Parameter that takes the id of the last record; `since` takes its time, as the server wrote it.")
    id: str | None = Field(None, description="Path of the id in a record; default: the column of the key.")
    time: str | None = Field(None, description="Path of the time in a record; default: the column of the cursor.")
    since: str | None = Field(None, exclude=True, description="Parameter `since`, set by the source.")

    def send(self, place: Place) -> Mapping[str, str | int]:
        """Time and id of the last record."""
        return {str(self.since): place["time"], self.after_id: place["id"]} if place else {}

    def after(self, place: Place, reply: Reply, largest: int) -> Place | None:
        """Behind the last record, until the flag, an empty page or a record without time."""
        if not reply.records or self.is_last(reply):
            return None
        last = reply.records[-1]
        time, key = at(last, str(self.time)), at(last, str(self.id))
        if not time and key and (place or any(at(record, str(self.time)) for record in reply.records)):
            return None  # what has no time is sorted last: nothing can be asked for behind it
        if not isinstance(time, str) or not isinstance(key, str) or not time or not key:
            raise ValueError(f"的记录缺少 {self.time} 或 {self.id}，无法翻页，请检查 paging 的 time 与 id")
        return {"time": str(time), "id": str(key)}


def _linked(header: str) -> str | None:
    return next((url for url, rest in _LINK.findall(header) if _NEXT.search(rest)), None)


def _short_form(value: Any) -> Any:
    return {"by": value} if isinstance(value, str) else value


AnyPaging = Annotated[
    Annotated[Whole | Pages | Offsets | Cursor | Link | Keyset, Field(discriminator="by")], BeforeValidator(_short_form)
]
