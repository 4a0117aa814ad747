"""Read-only SQL that people write themselves over the published marts."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import duckdb
import pyarrow as pa

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.snapshots import Snapshot, SnapshotStore

_BATCH = 10_000
_ALLOWED = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


def query(
    settings: Settings, sql: str, snapshot: Snapshot | None = None, parameters: Mapping[str, Any] | None = None
) -> pa.RecordBatchReader:
    """The rows of one statement, as they are computed.

    Exactly one ``SELECT``, ``WITH``, ``FROM``, ``VALUES``, ``DESCRIBE``, ``SUMMARIZE``, ``SHOW`` or ``EXPLAIN``. The
    snapshot is opened read-only, without files, network, extensions or settings: what the statement itself may not
    say, the connection does not let it do.

    Args:
        settings: Home whose snapshot is read.
        sql: The statement.
        snapshot: What to read; None for the one in service.
        parameters: Values of the statement's ``$name`` parameters.

    Returns:
        Record batches; the snapshot stays open until they are read or the reader is dropped.

    Raises:
        YiwangError: YW-STORE-001 when nothing is published; YW-STORE-002 with the reason when the statement is refused
            or fails, also while its rows are read.
    """
    held = ExitStack()
    try:
        store = SnapshotStore(settings, threads=settings.threads, memory_limit=settings.memory_limit)
        held.callback(store.close)
        connection = held.enter_context(store.acquire(snapshot))
        reader = _relation(connection, sql, parameters).to_arrow_reader(_BATCH)
    except duckdb.Error as error:
        held.close()
        raise _refused(error) from error
    except BaseException:
        held.close()
        raise
    return pa.RecordBatchReader.from_batches(reader.schema, _batches(reader, held))


def _relation(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any] | None) -> duckdb.DuckDBPyRelation:
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise YiwangError("YW-STORE-002", detail=f"一次只能执行一条语句，这里有 {len(statements)} 条")
    if statements[0].type not in _ALLOWED:
        raise YiwangError("YW-STORE-002", detail=f"不允许 {statements[0].type.name} 语句")
    return connection.sql(statements[0], params=dict(parameters)) if parameters else connection.sql(statements[0])


def _batches(reader: pa.RecordBatchReader, held: ExitStack) -> Iterator[pa.RecordBatch]:
    with held:
        try:
            yield from reader
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise _refused(error) from error


def _refused(error: Exception) -> YiwangError:
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return YiwangError("YW-STORE-002", detail=lines[0].rstrip("。."))
