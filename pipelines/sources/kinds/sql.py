"""Databases by URL: PostgreSQL, SQLite, and what else SQLAlchemy has a driver for."""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import pyarrow as pa
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.domain.errors import YiwangError
from models.domain.schema import sql_columns
from pipelines.sources.config import FieldSpec, Source
from pipelines.sources.databases.database import Database, Stream, relation
from pipelines.sources.databases.faults import fault
from pipelines.sources.databases.incremental import Says, incremental, set_aside
from pipelines.sources.databases.presence import Keys, Records
from pipelines.sources.mapping import origins, used_columns
from pipelines.sources.reading import Load, Part, Reading
from pipelines.sources.store import literal, name
from pipelines.sources.typing_sql import DAY_FORMATS, INSTANT_FORMATS

_TABLE = r'^[^.\s"\x00]+(\.[^.\s"\x00]+)?$'
_DURATION = r"^[0-9]+[smhd]$"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_GONE = "_gone"


class Deletions(BaseModel):
    """A table into which the source writes what it deletes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str = Field(pattern=_TABLE, description="Table of deletions, schema-qualified where needed.")
    key: list[str] = Field(min_length=1, description="Its columns that hold the record's key, in the order of the key's fields.")
    at: str = Field(description="Its column that says when the record was deleted.")


class SqlSource(Source):
    """A table or a query of a database."""

    kind: Literal["sql"] = Field("sql", description="Databases by URL.")
    location: str = Field(description="SQLAlchemy URL, `postgresql://user:${PASSWORD}@host/database` or `sqlite:///file.db`; ${NAME} is an environment variable, and a password must be one.")
    table: str | None = Field(None, pattern=_TABLE, description="Table or view, schema-qualified where needed; this or `query`.")
    query: str | None = Field(None, description="A single SELECT without semicolon.")
    position: list[str] = Field([], description="Source columns by which it is read on; default: the column of `cursor`. Without either the whole is read in every sync.")
    page_rows: int = Field(500_000, ge=1, le=5_000_000, description="Rows that are read and committed at a time.")
    deletions: Deletions | None = Field(None, description="Table of deleted records: `table`, `key` (columns) and `at` (column).")
    timeout: str = Field("1h", pattern=_DURATION, description="How long one statement may take: all that a sync reads of a table in order is one.")
    connect_timeout: str = Field("10s", pattern=_DURATION, description="How long connecting, or waiting for a locked SQLite file, may take.")

    _UNREAD: ClassVar[set[str]] = Source._UNREAD | {"page_rows", "timeout", "connect_timeout"}

    @field_validator("location")
    @classmethod
    def _no_secret(cls, value: str) -> str:
        secrets = re.findall(r"^[^:/]+://[^/@]*?:(.*)@|[?&](?:password|passwd|pwd)=([^&]*)", value)
        if any(not re.fullmatch(r"(\$\{\w+\})+", secret) for pair in secrets for secret in pair if secret):
            raise ValueError("密码只能来自环境变量，请写成 ${变量名}")
        return value

    @field_validator("query")
    @classmethod
    def _one_select(cls, value: str | None) -> str | None:
        if value is not None and (";" in value or not re.match(r"\s*(select|with)\b", value, re.IGNORECASE)):
            raise ValueError("只能是一条 SELECT，且不带分号")
        return value

    @field_validator("position", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("table 与 query 必须且只能写一个")
        if self.deletions and len(self.deletions.key) != len(self.keys):
            raise ValueError(f"deletions.key 应有 {len(self.keys)} 列，依次对应 {'、'.join(self.keys)}")
        return self

    def reads_same(self, other: Source) -> bool:
        """Whether both read the same rows."""
        return isinstance(other, SqlSource) and (self.location, self.table, self.query) == (other.location, other.table, other.query)

    def loads(self, reading: Reading) -> Iterator[Load]:
        """Deletions, then what reading on would miss, then what follows in order, page by page; or the whole."""
        with closing(self._open(reading)) as database:
            rows = relation(self.table, self.query)
            available = database.describe(rows)
            reading.check(available, self._shown, reading.known)
            filled = reading.filled(available)
            unmapped = reading.unmapped(available)
            found = {field: spec.column for field, spec in origins(self, available).items() if spec.column in available}
            key = [column for field in self.keys if (column := found.get(field))]
            order = self.position or ([found[self.cursor]] if self.cursor and self.cursor in found else [])
            if missing := [column for column in order if column not in available]:
                raise YiwangError("YW-SYNC-003", path=self._shown, columns="、".join(missing))
            used = used_columns(self, available) | set(order)
            columns = {column: kind for column, kind in available.items() if column in used}
            positions = dict(reading.position or {})

            def mapped(part: Part, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
                return reading.mapped(part, columns, batches)

            records = Records(reading=reading, relation=rows, shown=self._shown, key=key, columns=columns, mapped=mapped, open=lambda: self._open(reading))
            if self.deletions and reading.limit is None:
                yield from self._deleted(records, database, self.deletions, positions)
            if not order:
                part = reading.stream(self._shown)
                yield Load(parts=[part], rows=lambda: mapped(part, database.all_rows(rows, list(columns), reading.limit)), unmapped=unmapped, filled=filled, position=positions or None)
                return
            kinds = {column: sql_columns(self.contract)[field] for field, column in found.items()}
            usual = DAY_FORMATS if kinds.get(order[0]) == "DATE" else INSTANT_FORMATS
            formats = next((spec.formats for spec in self.fields.values() if spec.column and spec.column.lower() == order[0].lower() and spec.formats), usual)
            stream = Stream(
                relation=rows, columns=list(columns), order=[*order, *(column for column in dict.fromkeys(key) if column not in order)],
                is_time=kinds.get(order[0]) in ("TIMESTAMPTZ", "DATE"), formats=formats, zone=self.zone, look_back=_seconds(self.look_back), aside=set_aside(reading, key), key=key, limit=reading.limit,
            )  # fmt: skip
            # One row a record is what the record is now, though its cursor may have gone back: a transaction that began
            # before another may have written after it.
            is_present = len(key) == len(self.keys) and not any(self.fields[field].codes for field in self.keys if field in self.fields)
            says: Says = "present" if is_present and database.is_unique(rows, key) else "changes"
            page_rows = min(self.page_rows, reading.limit or self.page_rows)
            for load in incremental(reading, database, stream, "rows", self._shown, mapped, page_rows, unmapped, positions, says):
                yield replace(load, filled=filled)
            if self.vanished == "delete" and reading.limit is None:
                yield from Keys(records=records, says=says).loads(database)

    @property
    def _shown(self) -> str:
        return self.table or "query"

    def _open(self, reading: Reading) -> Database:
        try:
            url = sa.engine.make_url(self.location)
        except (sa.exc.ArgumentError, ValueError):
            raise fault(self.name, "location 不是数据库网址，应形如 postgresql://用户:${密码变量}@主机/库") from None
        timeouts = _seconds(self.timeout), _seconds(self.connect_timeout)
        if url.get_backend_name() in ("postgresql", "postgres"):
            from pipelines.sources.databases.postgres import Postgres

            return Postgres(self.name, url, *timeouts)
        from pipelines.sources.databases.dialects import Dialect

        return Dialect(self.name, url, reading.source_file.folder, *timeouts)

    def _deleted(self, records: Records, database: Database, deletions: Deletions, positions: dict[str, Any]) -> Iterator[Load]:
        """The records that the source says it has deleted, with what is stored of them; others are none of ours."""
        table, reading = relation(deletions.table, None), records.reading
        available = database.describe(table)
        if missing := [column for column in [*deletions.key, deletions.at] if column not in available]:
            raise YiwangError("YW-SYNC-003", path=deletions.table, columns="、".join(missing))
        columns = {column: available[column] for column in dict.fromkeys([*deletions.key, deletions.at])} | {_GONE: "BOOLEAN"}
        fields = {field: self.fields.get(field, FieldSpec(column="")).model_copy(update={"column": column}) for field, column in zip(self.keys, deletions.key, strict=True)}
        if self.cursor and self.cursor not in fields:
            fields[self.cursor] = FieldSpec(column=deletions.at)
        own = replace(reading, source=self.model_copy(update={"fields": fields, "deleted": _GONE}))
        known = [*fields]

        def mapped(part: Part, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            row = 1
            for batch in batches:
                marked = batch.append_column(_GONE, pa.array([True] * batch.num_rows))
                if "_file_row" not in batch.schema.names:
                    marked = marked.append_column("_file_row", pa.array(range(row, row + batch.num_rows), pa.int64()))
                first, row = marked["_file_row"][0].as_py(), row + batch.num_rows
                found = _with_content(reading, list(own.mapped(part, {**columns}, iter([marked]))), known)
                yield from records.without_refuted(found, first, pa.Table.from_batches([batch.select(deletions.key)]))

        order = [deletions.at, *(column for column in deletions.key if column != deletions.at)]
        stream = Stream(
            relation=table, columns=[column for column in columns if column != _GONE], order=order, is_time=True, formats=INSTANT_FORMATS, zone=self.zone,
            look_back=_seconds(self.look_back), key=deletions.key,
        )  # fmt: skip
        yield from incremental(own, database, stream, "deletions", self._shown, mapped, self.page_rows, [], positions, "changes")


def _with_content(reading: Reading, batches: list[pa.RecordBatch], known: Sequence[str]) -> list[pa.RecordBatch]:
    """Deleted records with all that is stored of them, so that a deletion takes away nothing but the record's validity."""
    if not batches:
        return []
    source = reading.source
    same_key = " AND ".join(f"r.{name(key)} = s.{name(key)}" for key in source.keys)
    reading.connection.register("_deleted_keys", pa.Table.from_batches(batches))
    try:
        columns = batches[0].schema.names
        chosen = ", ".join(f"{'s' if column in known or column.startswith('_') else 'r'}.{name(column)}" for column in columns)
        found: pa.Table = reading.connection.sql(
            f"SELECT {chosen} FROM _deleted_keys AS s LEFT JOIN raw.{name(source.subject)} AS r "  # noqa: S608 - quoted names
            f"ON {same_key} AND r.source = {literal(source.name)} WHERE r.source IS NOT NULL OR s._reason_code IS NOT NULL"
        ).to_arrow_table()
        return list(found.to_batches())
    finally:
        reading.connection.unregister("_deleted_keys")


def _seconds(text: str | None) -> float:
    return float(int(text[:-1]) * _SECONDS[text[-1]]) if text else 0.0
