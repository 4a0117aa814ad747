"""A list that is read page by page while it changes: nothing that stays in it is missed.

Where rows can move (pages by number, offset or link), a record that is deleted or moved on a page already read pulls
all later ones forward, over the border of a page that is not asked for again. Each border is therefore proved before
the list is read on: by **offset** the next page must begin with a record of the last one; by **number** or **link**
the last page is read once more after the next one, and must still end with the same record. A border that does not
hold sends the reader back, one page, then two, four …, to a page that begins with a record it has read as it
still stands: as the order of unchanged records does not change, all before that one were read too. Records that
appear or change meanwhile are those of the next listing, whose beginning lies before this one's.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from models.domain.errors import YiwangError
from pipelines.sources.http.paging import Paging, Place, Reply
from pipelines.sources.http.records import mark

SETBACKS = 20
"""Borders in a row that may not hold before the list is given up."""
_RECENT = 64


@dataclass(frozen=True)
class Resume:
    """From where a later listing may go on.

    Attributes:
        place: The page to ask for.
        marks: Digests of the records that were there; where rows can move, the page must begin with one of them.
        largest: The greatest number of records that a page had.
    """

    place: Place
    marks: Sequence[str]
    largest: int


@dataclass(frozen=True)
class Page:
    """A page whose border to the one before is proved.

    Attributes:
        records: Its records, those apart that the page before has too.
        marks: Digests of all its records, where rows can move.
        resume: From where a later listing may go on behind it; None where there is nothing more.
    """

    records: list[dict[str, Any]]
    marks: list[str]
    resume: Resume | None


@dataclass
class Listing:
    """One way through the list.

    Attributes:
        paging: How the server pages.
        ask: Gives the page at a place.
        fail: Ends with a sentence.
        max_pages: Greatest number of pages.
        resume: :attr:`Page.resume` of an earlier listing.
    """

    paging: Paging
    ask: Callable[[Place], Reply]
    fail: Callable[[str], NoReturn]
    max_pages: int
    resume: Resume | None = None
    _asked: int = field(default=0, init=False)

    def pages(self) -> Iterator[Page]:
        """The pages, each once it is proved.

        Raises:
            YiwangError: YW-SYNC-008.
        """
        start = self.paging.start()
        begin = self.resume or Resume(start, (), 0)
        place, largest = begin.place, begin.largest
        recent: deque[Sequence[str]] = deque([begin.marks] if begin.marks else [], maxlen=_RECENT)
        trail: list[Place] = []
        last: Page | None = None
        proof = "anchor" if begin.marks else ""
        setbacks = repeated = 0
        while True:
            try:
                reply = self._get(place)
            except YiwangError as error:
                if self.resume is None or self._asked > 1 or place == start or error.values.get("status") in (401, 403):
                    raise
                place, proof = start, ""  # the server may not know a token of yesterday any more
                recent.clear()
                continue
            marks = [mark(record) for record in reply.records] if self.paging.shifting else []
            if place != start and self.paging.shifting and not self._holds(place, marks, proof, last, recent):
                setbacks += 1
                if setbacks > SETBACKS:
                    self.fail("的列表在读取中不断变化，请避开繁忙时段，或改用 cursor、keyset 翻页")
                place, last, proof = self._step_back(trail, 2 ** (setbacks - 1)), None, "anchor"
                continue
            setbacks, proof = (setbacks, "") if proof else (0, "")
            largest = max(largest, len(reply.records))
            repeated = repeated + 1 if last is not None and marks and marks == last.marks else 0
            following = self._after(place, reply, largest)
            if following is not None and last is not None and marks and set(marks) <= set(last.marks):
                following = self._repetition(following, len(marks) < largest, repeated)
            known = set(recent[-1]) if recent else set()
            fresh = [record for record, its in zip(reply.records, marks, strict=True) if its not in known] if marks else reply.records
            onward = place if marks else following if not self.paging.shifting else None
            last = Page(fresh, marks, None if onward is None else Resume(onward, marks, largest))
            yield last
            if following is None:
                return
            recent.append(marks)
            trail.append(place)
            if following in trail[-_RECENT:] or (len(trail) % 1000 == 0 and following in trail):
                self.fail("的下一页又回到了读过的一页，已停止，请检查 paging 或联系接口的管理方")
            place = following

    def _get(self, place: Place) -> Reply:
        self._asked += 1
        if self._asked > self.max_pages:
            self.fail(f"读了 {self.max_pages} 页还没有到头，请检查 paging，或调高 max_pages")
        return self.ask(place)

    def _holds(self, place: Place, marks: Sequence[str], proof: str, last: Page | None, recent: deque[Sequence[str]]) -> bool:
        """Whether nothing slipped over the border before this page."""
        if proof == "anchor" or (self.paging.overlaps and place["overlap"]):
            return bool(marks) and any(marks[0] in page for page in recent)
        if self.paging.overlaps or last is None or last.resume is None:
            return True
        again = self._get(last.resume.place).records
        return bool(again) and mark(again[-1]) == last.marks[-1]

    def _step_back(self, trail: list[Place], pages: int) -> Place:
        """So many pages back, or to the first one; they leave the trail."""
        place = trail[-min(pages, len(trail))] if trail else self.paging.start()
        del trail[max(0, len(trail) - pages) :]
        return place

    def _repetition(self, following: Place, is_short: bool, repeated: int) -> Place | None:
        """What comes after a page that holds nothing but records of the page before."""
        if is_short and self.paging.total is None and self.paging.more is None:
            return None  # the end: some servers repeat the last page behind it
        if repeated > 1:
            self.fail("一再给出同一页，像是没有理会翻页参数，请检查 paging，或用 total 说明总数在哪里")
        return following

    def _after(self, place: Place, reply: Reply, largest: int) -> Place | None:
        try:
            return self.paging.after(place, reply, largest)
        except ValueError as error:
            detail = str(error)
        self.fail(detail)
