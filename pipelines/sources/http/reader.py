"""The sync of a REST source: pages become loads, and each load says from where the next sync goes on.

The **watermark** is the instant up to which everything was read. It moves only when a listing was read to its end, to
the latest time of change read, but never past the server's time at the listing's beginning: what changes while the
list is read belongs to the next listing. While records are set aside, the list is asked for from the earliest of them,
or from its beginning where one has no readable time. What does not belong here: requests, paging, and how columns are mapped.
"""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow as pa
import pyarrow.compute as pc

from models.domain.errors import YiwangError
from pipelines.sources.databases.incremental import news
from pipelines.sources.http.client import Answer, Client, Final, Passing, Request
from pipelines.sources.http.listing import Listing, Resume
from pipelines.sources.http.paging import Keyset, Place, Reply
from pipelines.sources.http.records import Ambiguous, Broken, at, is_empty, parse, table
from pipelines.sources.http.since import micros, step_back
from pipelines.sources.mapping import origins, used_columns
from pipelines.sources.reading import Load, Reading
from pipelines.sources.store import literal, name
from pipelines.sources.typing_sql import typed as typed_sql

if TYPE_CHECKING:
    from pipelines.sources.kinds.rest import RestSource

_TELLING = 20
"""So many records have a column, or it is missing: fewer, as a sync of what is new often brings, may lack it by chance."""
_OF_A_KEY = ("_file_id", "_file_row", "_reason_code", "_record_hash")


@dataclass
class Reader:
    """One sync of one REST source.

    Attributes:
        source: The source.
        reading: The sync.
        client: Sends requests.
        url: The address, variables filled in.
        params: The source's own parameters, variables filled in.
        body: The source's own JSON body, variables filled in.
        secrets: What must not be kept.
        now: Microseconds since 1970.
    """

    source: "RestSource"
    reading: Reading
    client: Client
    url: httpx.URL
    params: Mapping[str, str]
    body: Mapping[str, Any]
    secrets: frozenset[str]
    now: int
    _watermark: int | None = field(default=None, init=False)
    _from: int | None = field(default=None, init=False)
    _is_again: bool = field(default=False, init=False)
    _aside: list[pa.Table] = field(default_factory=list, init=False)
    _began: int | None = field(default=None, init=False)
    _top: int | None = field(default=None, init=False)
    _last: int | None = field(default=None, init=False)
    _until: str | int | None = field(default=None, init=False)
    _rows: int = field(default=0, init=False)
    _columns: dict[str, str] = field(default_factory=dict, init=False)
    _keys: list[pa.Table] = field(default_factory=list, init=False)

    def loads(self) -> Iterator[Load]:
        """See :meth:`Source.loads`."""
        position = self.reading.position or {}
        self._watermark = self._from = position.get("watermark")
        if self.source.since and self._watermark is not None and self.reading.limit is None:
            self._from, self._is_again = self._earliest(self._watermark)
        resume = None
        if (open_listing := position.get("listing")) and self.source.vanished == "keep":
            resume = Resume(open_listing["place"], open_listing["marks"], open_listing["largest"])
            self._began, self._top, self._until = (open_listing[key] for key in ("began", "top", "until"))
            self._from = open_listing.get("from", self._watermark)  # places count from there
        elif self.source.until:
            self._until = self.source.until.text(step_back(self.now, None), self.source.zone)
        yield from self._listing(resume)
        if self._is_again and resume is None and self._some_left():
            yield Load(parts=[self._part()], rows=self._aside_rows, says="aside")
        if self.source.vanished == "keep" or self.reading.limit is not None:
            return
        if self._some_vanished():  # or moved, while the list was read, from a page not yet read to one already read
            yield from self._listing(None)
        yield Load(parts=[self._part()], rows=self._key_rows, says="keys")

    def _listing(self, resume: Resume | None) -> Iterator[Load]:
        """The list once to its end, and what was read of it where it breaks off."""
        self._last = None
        listing = Listing(self.source.bound_paging, self._ask, self.client.fail, self.source.max_pages, resume)
        records: list[dict[str, Any]] = []
        reached: Resume | None = None
        try:
            for page in listing.pages():
                records += page.records
                reached = page.resume
                if self.reading.limit is not None and len(records) >= self.reading.limit:
                    break
                if len(records) >= self.source.commit_rows and reached:
                    load, records = self._load(records, reached), []
                    yield load
        except YiwangError:
            if records:
                yield self._load(records, reached)
            raise
        final = self._load(records, None, is_end=True)
        if records or final.position not in (None, self.reading.position):
            yield final

    def _load(self, records: Sequence[Mapping[str, Any]], reached: Resume | None, is_end: bool = False) -> Load:
        part = self._part()
        typed: list[pa.RecordBatch] = []
        unmapped: list[str] = []
        if records:
            try:
                batch = table(records, self._wanted())
            except Broken as error:
                self.client.fail(str(error))
            available = dict.fromkeys(batch.schema.names, "VARCHAR")
            batch = self._with_faults(batch, records) if is_end else batch
            self.reading.check(available, part.shown)
            unmapped = self._unmapped(batch, available)
            with self._zone():
                typed = list(self.reading.mapped(part, available, iter([batch]), self._rows + 1))
            self._rows += len(records)
            self._columns |= available
            rows = pa.Table.from_batches(typed)
            self._note(rows.sort_by("_file_row"))
            if self._is_again:
                self._aside.append(rows.filter(pc.is_valid(rows["_reason_code"])))
                with self._zone():
                    typed = list(news(self.reading.connection, self.source, typed, "changes"))
        missing = self.reading.missing(self._columns) if self._rows >= _TELLING else []
        filled = self.reading.filled(self._columns) if self._columns else None
        return Load(parts=[part], rows=lambda: iter(typed), says="changes", position=self._position(reached, is_end), unmapped=unmapped, filled=filled, missing=missing)

    def _position(self, reached: Resume | None, is_end: bool) -> Mapping[str, Any] | None:
        if self.source.vanished == "delete":
            return None  # only a listing that was read in one go can tell what is gone
        if is_end:
            candidates = [min(self._top, self._began)] if self._top is not None and self._began is not None else []
            watermark = max([*candidates, *([self._watermark] if self._watermark is not None else [])], default=None)
            return {"watermark": watermark, "listing": None}
        if reached is None:
            return None
        listing = {"place": self._without_secrets(reached.place), "marks": list(reached.marks), "largest": reached.largest}
        return {"watermark": self._watermark, "listing": listing | {"from": self._from, "began": self._began, "top": self._top, "until": self._until}}

    def _without_secrets(self, place: Place) -> Place:
        if "url" not in place:
            return place
        url = self.url.join(place["url"])
        for parameter, value in url.params.multi_items():
            if any(secret in value for secret in self.secrets):
                url = url.copy_remove_param(parameter)
        return {"url": url.raw_path.decode("ascii")}

    def _note(self, rows: pa.Table) -> None:
        """Remember the latest time of change, and the keys where they decide what is gone."""
        if self.source.vanished == "delete":
            self._keys.append(rows.select(list(dict.fromkeys([*self.source.keys, *_OF_A_KEY]))))
        if self.source.since is None or self.source.cursor is None:
            return
        good = rows.filter(pc.and_(pc.is_null(rows["_reason_code"]), pc.is_valid(rows[self.source.cursor])))
        times = good[self.source.cursor].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).combine_chunks()
        if not len(times):
            return
        if self.source.paging.by == "keyset":
            if (self._last is not None and times[0].as_py() < self._last) or pc.any(pc.less(times[1:], times[:-1])).as_py():
                self.client.fail(f"没有按 {self.source.cursor} 从早到晚给出记录，无法用 keyset 翻页，请改用其他方式")
            self._last = times[-1].as_py()
        top = pc.max(times).as_py()
        self._top = top if self._top is None else max(self._top, top)

    def _ask(self, place: Place) -> Reply:
        reply = self.client.fetch(self._request(place), self._read)
        if self._began is None:
            self._began = reply.time
        return reply

    def _request(self, place: Place) -> Request:
        source, paging = self.source, self.source.bound_paging
        if link := paging.link(place):
            url = self.url.join(link)
            own = {key: value for key, value in self.params.items() if key not in url.params}
            return Request(str(url), source.method, own, dict(self.body) if source.method == "POST" else None)
        values: dict[str, str | int] = {}
        if paging.size:
            values[paging.size] = source.page_size
        if source.since and (since := self._since()) is not None:
            values[source.since.send] = since
        if source.until and self._until is not None:
            values[source.until.send] = self._until
        values |= paging.send(place)
        if source.method == "GET":
            return Request(str(self.url), "GET", {**self.params, **{key: str(value) for key, value in values.items()}})
        body: dict[str, Any] = dict(self.body)
        for path, value in values.items():
            _put(body, path.split("."), value)
        return Request(str(self.url), "POST", self.params, body)

    def _since(self) -> str | int | None:
        assert self.source.since is not None  # noqa: S101 - the caller looked
        if self._from is None:
            return self.source.since.first
        return self.source.since.text(step_back(self._from, self.source.look_back), self.source.zone)

    def _read(self, answer: Answer) -> Reply:
        try:
            document = parse(answer.body, answer.headers)
        except Ambiguous as error:
            raise Final(str(error)) from None
        except Broken as error:
            raise Passing(str(error)) from None
        records = at(document, self.source.records) if self.source.records else document
        if records is None and self.source.paging.total and str(at(document, self.source.paging.total)) == "0":
            records = []
        if not isinstance(records, list):
            raise Passing(f"的应答里没有记录的列表（{self.source.records or '应答本身'}），请检查 records")
        if not all(type(record) is dict for record in records):
            self.client.fail("的列表里有不是对象的记录，请检查 records")
        return Reply(records, document, answer.headers, micros(answer.at))

    def _wanted(self) -> list[str]:
        sources = [s for s in self.reading.source_file.sources if s.reads_same(self.source)] or [self.source]
        columns = [spec.column for s in sources for spec in s.fields.values() if spec.column]
        return columns + [s.deleted for s in sources if s.deleted]

    def _unmapped(self, batch: pa.RecordBatch, available: Mapping[str, str]) -> list[str]:
        """Columns that nothing maps, those apart of which a mapped path takes a part or the whole."""
        used = {path for path in self._wanted() if path in available} | used_columns(self.source, available)
        parts = tuple(path + mark for path in used for mark in (".", "["))
        wholes = {path.split("[")[0] for path in used if "[" in path}
        found = self.reading.unmapped(available)
        return [column for column in found if not column.startswith(parts or ("\0",)) and column not in wholes and not is_empty(column, batch)]

    def _some_vanished(self) -> bool:
        """Whether the warehouse has records that this listing has not."""
        source, connection = self.source, self.reading.connection
        seen = pa.concat_tables(self._keys) if self._keys else None
        gone = f"SELECT 1 FROM raw.{name(source.subject)} AS r WHERE r.source = {literal(source.name)} AND NOT r._is_deleted"
        if seen is None:
            return bool(connection.execute(f"{gone} LIMIT 1").fetchall())
        same_key = " AND ".join(f"r.{name(key)} = s.{name(key)}" for key in source.keys)
        connection.register("_seen", seen)
        try:
            return bool(connection.execute(f"{gone} AND NOT EXISTS (SELECT 1 FROM _seen AS s WHERE {same_key}) LIMIT 1").fetchall())
        finally:
            connection.unregister("_seen")

    def _key_rows(self) -> Iterator[pa.RecordBatch]:
        if self._keys:
            seen = pa.concat_tables(self._keys)
            numbers = pa.array(range(1, len(seen) + 1), pa.int64())
            yield from seen.set_column(seen.schema.get_field_index("_file_row"), "_file_row", numbers).to_batches()

    def _earliest(self, watermark: int) -> tuple[int | None, bool]:
        """From when to read, so that what is set aside is read again; None: from the beginning. And whether anything is."""
        source, connection = self.source, self.reading.connection
        aside = f"raw.quarantine WHERE source = {literal(source.name)} AND subject = {literal(source.subject)}"
        keys = [key for (key,) in connection.execute(f"SELECT DISTINCT unnest(json_keys(raw)) FROM {aside}").fetchall()]
        if not keys:
            return watermark, False
        spec = origins(source, dict.fromkeys(keys, "VARCHAR")).get(source.cursor or "")
        if spec is None or spec.column is None or spec.column not in keys:
            return None, True
        time = typed_sql(f"(raw ->> {literal('$.' + chr(34) + spec.column + chr(34))})", "TIMESTAMPTZ", spec.formats)
        with self._zone():
            ((earliest, is_readable),) = connection.execute(f"SELECT min(epoch_us({time})), bool_and({time} IS NOT NULL) FROM {aside}").fetchall()
        return (min(watermark, earliest) if is_readable else None), True

    def _some_left(self) -> bool:
        """Whether records are set aside that this listing has no longer, or no longer so."""
        own = [self.source.name, self.source.subject]
        aside = {row[0] for row in self.reading.connection.execute("SELECT record_hash FROM raw.quarantine WHERE source = ? AND subject = ?", own).fetchall()}
        return bool(aside - {text for rows in self._aside for text in rows["_record_hash"].to_pylist()})

    def _aside_rows(self) -> Iterator[pa.RecordBatch]:
        for rows in self._aside:
            yield from rows.to_batches()

    def _with_faults(self, batch: pa.RecordBatch, records: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
        """By keyset, the records without time at the end of the list are set aside: what may follow them cannot be asked for."""
        paging = self.source.bound_paging
        if not isinstance(paging, Keyset) or at(records[-1], str(paging.time)):
            return batch
        timed = next((number for number in range(len(records), 0, -1) if at(records[number - 1], str(paging.time))), 0)
        sentence = f"没有时间（{paging.time}），keyset 翻页只能读到这里，请源头补上时间"
        faults = pa.array([None] * timed + [sentence] * (len(records) - timed), pa.string())
        return batch.append_column("_fault", faults).append_column("_line", pa.nulls(len(records), pa.string()))

    def _part(self) -> Any:
        return self.reading.stream(self.source.location)

    @contextmanager
    def _zone(self) -> Iterator[None]:
        """Instants without zone are typed in the source's, here already: the position needs them."""
        connection = self.reading.connection
        ((before,),) = connection.execute("SELECT current_setting('TimeZone')").fetchall()
        connection.execute(f"SET TimeZone = {literal(self.source.zone)}")
        try:
            yield
        finally:
            connection.execute(f"SET TimeZone = {literal(before)}")


def _put(body: dict[str, Any], path: Sequence[str], value: str | int) -> None:
    for step in path[:-1]:
        inner = body.get(step)
        body[step] = dict(inner) if isinstance(inner, dict) else {}
        body = body[step]
    body[path[-1]] = value
