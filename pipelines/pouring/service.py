"""The door of pouring: the sample city into the operational store, in bulk, so that pages, interfaces and load tests have a city to work on.

Rows have identifiers that follow from the city's: pouring that was killed is begun again and adds what is missing. What does not belong
here: how records become rows (:mod:`pipelines.pouring.mapping`).
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import duckdb
import sqlalchemy as sa

from models.core.cases.clocking import clock_anew
from models.core.cases.service import publish
from models.core.crypto.service import encrypting, provider
from models.core.crypto.types import CryptoProvider, Place
from models.core.processes.service import shipped
from models.core.work.service import Actor, work
from models.domain.errors import YiwangError
from models.domain.identifiers import normalise
from models.domain.progress import NoProgress, Progress
from models.domain.settings import Settings
from models.store.operational.database import Database
from models.store.operational.migration import upgrade
from models.store.operational.tables import Base, CaseFile
from pipelines.pouring import mapping

POURER = Actor("pouring", frozenset(), authority="sample")
_PAGE = 20_000
_STAGE = "灌入业务数据库"


@dataclass(frozen=True)
class Poured:
    """What a pouring did.

    Attributes:
        rows: Table → rows that are there of the city.
        open_cases: Cases that people can go on with.
    """

    rows: dict[str, int]
    open_cases: int


def pour(settings: Settings, *, beside: bool = False, progress: Progress | None = None) -> Poured:
    """Pour the sample city of the home into the operational store.

    Args:
        settings: Home with the sample, database, keys.
        beside: Also where other cases are there already.
        progress: Told of rows.

    Raises:
        YiwangError: YW-POUR-001 without a sample, or where the store holds cases that do not come from it.
    """
    progress = progress or NoProgress()
    folder = settings.home / "sample"
    if not (folder / "manifest.json").is_file():
        raise YiwangError("YW-POUR-001", detail=f"目录 {settings.home} 中没有样例，请先运行 yiwang sample --errors 0")
    database, crypto = Database(settings), provider(settings)
    upgrade(database, encrypting(crypto))
    settings.work.mkdir(parents=True, exist_ok=True)
    with closing(database), duckdb.connect(":memory:", config={"memory_limit": settings.memory_limit, "temp_directory": str(settings.work / "duckdb_tmp")}) as city:
        city.execute("SET TimeZone = 'UTC'")
        for statement in mapping.views(folder):
            city.execute(statement)
        _alone(database, city, beside)
        with work(database, POURER, datetime.now(UTC)) as now:
            for process in shipped().values():
                publish(now, process)
            city.execute("CREATE TABLE published (process VARCHAR, number INTEGER)")  # versions that poured cases run on
            city.executemany("INSERT INTO published VALUES (?, ?)", [(process.process, process.version) for process in shipped().values()])
            now.record("city.poured", "store", sample=str(folder.name))
        rows: dict[str, int] = {}
        for table, query, prepare in (
            ("unit", mapping.UNITS, None), ("service_window", mapping.WINDOWS, None), ("jurisdiction", mapping.JURISDICTIONS, None),
            ("matter_version", mapping.MATTERS.replace("{limits}", mapping.LIMITS.format(m="matter", more="")).replace("{{}}", "{}"), None),
            ("party", mapping.PARTIES, lambda page: _parties(crypto, page)), ("case_file", mapping.CASES, None), ("case_event", mapping.EVENTS, None),
            ("task", mapping.TASKS, None), ("case_file", mapping.FOLLOW_UPS, None), ("feedback", mapping.FEEDBACK, None), ("visit", mapping.VISITS, None),
        ):  # fmt: skip
            progress.start(f"{_STAGE} {table}")
            count = _insert(database, table, _pages(city, query), prepare, progress, f"{_STAGE} {table}")
            rows[table] = rows.get(table, 0) + count
            progress.finish(f"{_STAGE} {table}", f"{count:,} 行")
        open_cases = _set_clocks(database, settings)
    return Poured(rows, open_cases)


def _alone(database: Database, city: duckdb.DuckDBPyConnection, beside: bool) -> None:
    with database.read() as session:
        there = [number for (number,) in session.execute(sa.select(CaseFile.case_number).where(CaseFile.kind == "public").order_by(CaseFile.id).limit(50))]
    known = {row[0] for row in city.execute("SELECT case_number FROM kase WHERE case_number IN (SELECT unnest(?::VARCHAR[]))", [there]).fetchall()}
    if not beside and set(there) - known:
        raise YiwangError("YW-POUR-001", detail="业务数据库里已有其他办件；确要与它们放在一起时加 --beside")


def _pages(city: duckdb.DuckDBPyConnection, query: str) -> Iterator[tuple[list[str], list[tuple[Any, ...]]]]:
    cursor = city.cursor()
    cursor.execute(query)
    names = [column[0] for column in cursor.description or ()]
    while rows := cursor.fetchmany(_PAGE):
        yield names, rows


Prepare = Callable[[list[tuple[Any, ...]]], tuple[list[str], list[tuple[Any, ...]]]]


def _insert(
    database: Database, table: str, pages: Iterable[tuple[list[str], list[tuple[Any, ...]]]], prepare: Prepare | None, progress: Progress, stage: str
) -> int:
    """Insert pages, each a transaction in an order that is always the same: a page whose last row is there is there."""
    count = 0
    for names, rows in pages:
        columns, values = prepare(rows) if prepare else (names, rows)
        put = _by_statement if database.is_sqlite else _by_copy
        with database.engine.begin() as connection:
            if not _is_there(connection, table, columns, values[-1]):
                put(connection, table, columns, values)
        count += len(values)
        progress.advance(stage, len(values))
    return count


def _is_there(connection: sa.Connection, table: str, columns: Sequence[str], row: tuple[Any, ...]) -> bool:
    mapped = Base.metadata.tables[table]
    values = dict(zip(columns, row, strict=True))
    key = [column == (UUID(hex=values[column.name]) if isinstance(column.type, sa.Uuid) else values[column.name]) for column in mapped.primary_key]
    return connection.execute(sa.select(sa.literal(1)).select_from(mapped).where(*key)).first() is not None


def _by_statement(connection: sa.Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" for _ in columns)
    raw: Any = connection.connection.driver_connection
    raw.executemany(f'INSERT OR IGNORE INTO "{table}" ({names}) VALUES ({marks})', rows)  # noqa: S608 - names of our own tables


def _by_copy(connection: sa.Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """COPY into a table of the transaction's own, then insert what is not there."""
    names = ", ".join(f'"{name}"' for name in columns)
    connection.exec_driver_sql(f'CREATE TEMP TABLE poured ON COMMIT DROP AS SELECT {names} FROM "{table}" WITH NO DATA')  # noqa: S608
    text = io.StringIO()
    csv.writer(text).writerows(rows)  # an empty field is NULL, "" a text: no column of ours holds an empty text
    raw: Any = connection.connection.driver_connection
    with raw.cursor() as cursor, cursor.copy(f"COPY poured ({names}) FROM STDIN (FORMAT csv)") as copy:
        copy.write(text.getvalue())
    connection.exec_driver_sql(f'INSERT INTO "{table}" ({names}) SELECT {names} FROM poured ON CONFLICT DO NOTHING')  # noqa: S608


def _parties(crypto: CryptoProvider, rows: list[tuple[Any, ...]]) -> tuple[list[str], list[tuple[Any, ...]]]:
    columns = ["id", "kind", "id_type_code", "name", "number", "phone", "number_digest", "phone_digest", "version", "created_at", "updated_at"]
    at = "2020-01-01T00:00:00.000000Z"
    made = []
    for party_id, id_type, number, name, phone in rows:
        row, number = UUID(hex=party_id), normalise(number)
        made.append((
            party_id, "enterprise" if id_type == "990" else "person", id_type, crypto.encrypt(name, Place("party", "name", row)),
            crypto.encrypt(number, Place("party", "number", row)), crypto.encrypt(phone, Place("party", "phone", row)) if phone else None,
            crypto.digest(f"number {id_type}", number), crypto.digest("phone", phone) if phone else None, 1, at, at,
        ))  # fmt: skip
    return columns, made


def _set_clocks(database: Database, settings: Settings) -> int:
    """Due days and timers of the open cases, by the engine itself; few beside those that are over."""
    cases, tasks = Base.metadata.tables["case_file"], Base.metadata.tables["task"]
    waiting = sa.select(tasks.c.case_id).where(tasks.c.closed_at.is_(None))
    with database.write() as session:
        beginning = sa.update(cases).where(cases.c.id.in_(waiting), cases.c.calendar_version.is_(None), cases.c.phase != "draft")
        session.connection().execute(beginning.values(calendar_version=0))
    page = 500
    while clock_anew(database, datetime.now(UTC), page, settings.zone).due == page:
        pass
    with database.read() as session:
        return session.scalar(sa.select(sa.func.count()).where(cases.c.id.in_(waiting), cases.c.kind == "public")) or 0
