"""A load package is merged into the raw layer: rows, counts, quarantine and files in one transaction.

A record is known by (source, key). Of its versions the later one wins: the one with the greater cursor where
the source has one (no cursor counts as the oldest), else, and between equal ones, the one from the file
whose name comes later, else the one further down. The same file read again replaces what it said before.
What does not belong here: reading and typing (:mod:`pipelines.sources.mapping`).
"""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import duckdb

from models.domain.contracts import SUBJECT_TITLES
from models.domain.errors import YiwangError
from models.domain.schema import stored_columns
from pipelines.sources.config import Source
from pipelines.sources.history import keep_versions
from pipelines.sources.mapping import record_hash
from pipelines.sources.reading import Load
from pipelines.sources.store import QUARANTINE, literal, name
from pipelines.sources.types import COUNTS, RunRef


@dataclass(frozen=True)
class Manifest:
    """What a load package holds, apart from its rows; it travels inside the package.

    Attributes:
        settings: Digest of the settings under which it was read.
        files: The parts read: number, shown path, size, time of change, fingerprint.
        unmapped: Columns that nothing maps.
        says: As :attr:`reading.Load.says`.
        position: Where an incremental reader goes on, JSON; None leaves the old one.
        filled: As :attr:`reading.Load.filled`.
        missing: As :attr:`reading.Load.missing`.
    """

    settings: str
    files: tuple[tuple[int, str, int, int, str], ...]
    unmapped: tuple[str, ...]
    says: str = "whole"
    position: str | None = None
    filled: dict[str, str] | None = None
    missing: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: str, load: Load) -> "Manifest":
        """The manifest of a load."""
        files = tuple((p.file_id, p.shown, p.size, p.mtime_ns, p.fingerprint) for p in load.parts)
        position = None if load.position is None else json.dumps(load.position, ensure_ascii=False)
        return cls(settings, files, tuple(load.unmapped), load.says, position, None if load.filled is None else dict(load.filled), tuple(load.missing))

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """From :meth:`to_json`."""
        values = json.loads(text)
        files, columns = tuple(tuple(f) for f in values["files"]), (tuple(values["unmapped"]), tuple(values.get("missing", ())))
        return cls(values["settings"], files, columns[0], values["says"], values["position"], values.get("filled"), columns[1])


def merge(connection: duckdb.DuckDBPyConnection, source: Source, run: RunRef, package: str, manifest: Manifest) -> None:
    """Merge a package into ``raw.<subject>`` and note everything about it in ``ops``, or do nothing at all.

    A package whose files are already noted as read was merged before the run that made it was killed: it is
    left alone.

    Args:
        package: Path of the package's Parquet file.
    """
    merge_rows(connection, source, run, f"read_parquet({literal(package)})", manifest)


def merge_rows(connection: duckdb.DuckDBPyConnection, source: Source, run: RunRef, rows: str, manifest: Manifest) -> None:
    """As :func:`merge`, from any relation that has the columns of a package."""
    if _is_merged(connection, source, manifest):
        return
    connection.begin()
    try:
        connection.execute("CREATE OR REPLACE TEMP TABLE _files (file_id INTEGER, path VARCHAR)")
        connection.executemany("INSERT INTO _files VALUES (?, ?)", [file[:2] for file in manifest.files])
        if manifest.says in ("keys", "aside"):
            counts = dict.fromkeys(COUNTS[1:], 0)
            _forget_vanished(connection, source, run, rows, manifest.says)
        else:
            counts = _merge_records(connection, source, run, rows, manifest.says)
            counts["quarantined"] = _set_aside(connection, source, run, rows, manifest)
        if manifest.says == "keys" or (manifest.says == "whole" and source.vanished == "delete"):
            counts["deleted"] += _delete_vanished(connection, source, run, rows, manifest.says)
        counts["rows_read"] = sum(counts.values())
        _note(connection, source, run, counts, manifest)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def _is_merged(connection: duckdb.DuckDBPyConnection, source: Source, manifest: Manifest) -> bool:
    noted = connection.execute(
        "SELECT path, fingerprint FROM ops.source_file WHERE source = ? AND subject = ?", [source.name, source.subject]
    ).fetchall()
    return {(file[1], file[4]) for file in manifest.files} <= set(noted)


def _merge_records(connection: duckdb.DuckDBPyConnection, source: Source, run: RunRef, rows: str, says: str) -> dict[str, int]:
    table = f"raw.{name(source.subject)}"
    stored = ", ".join(name(column) for column in stored_columns(source.contract))
    _find_repeats(connection, source, rows)
    counts = {"updated": 0, "unchanged": 0, "superseded": _one(connection, "SELECT count(*) FROM _skip"), "deleted": 0}
    if _one(connection, f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE source = {literal(source.name)} LIMIT 1)"):
        for verdict, number in _judge(connection, source, rows, says).items():
            counts[verdict] += number
        _apply(connection, source.subject, run)
    good = f"FROM {rows} ANTI JOIN _skip USING (_file_id, _file_row) WHERE _reason_code IS NULL"
    new_deleted = (_one(connection, f"SELECT count(*) {good} AND _is_deleted") - counts["deleted"]) if source.deleted else 0
    written = _one(
        connection,
        f"INSERT INTO {table} (source, {stored}, _file_id, _file_row, _run_seq, _is_deleted) "
        f"SELECT {literal(source.name)}, {stored}, _file_id, _file_row, {run.run_seq}, _is_deleted {good}",
    )
    counts["inserted"] = written - counts["updated"] - counts["deleted"] - new_deleted
    counts["deleted"] += new_deleted
    return counts


def _find_repeats(connection: duckdb.DuckDBPyConnection, source: Source, rows: str) -> None:
    """Fill ``_skip`` with all rows of the package but the last version of each key.

    Repeats are found by the hashes of the keys, which is cheap; only the rows behind them are compared and sorted.
    """
    keys = ", ".join(name(key) for key in source.keys)
    later = (f"{name(source.cursor)} DESC NULLS LAST, " if source.cursor else "") + "path DESC, _file_row DESC"
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE _skip AS
        WITH twice AS (SELECT hash({keys}) AS h FROM {rows} WHERE _reason_code IS NULL GROUP BY h HAVING count(*) > 1)
        SELECT _file_id, _file_row FROM (
            SELECT _file_id, _file_row, row_number() OVER (PARTITION BY {keys} ORDER BY {later}) AS place
            FROM {rows} JOIN _files ON file_id = _file_id
            WHERE _reason_code IS NULL AND hash({keys}) IN (FROM twice)
        ) WHERE place > 1
    """)


def _judge(connection: duckdb.DuckDBPyConnection, source: Source, rows: str, says: str) -> dict[str, int]:
    """Fill ``_verdict`` for the rows whose key the raw table has; verdict → number of rows.

    The keys are matched first and alone: the other columns of the raw table are read only where one matches.
    """
    table = f"raw.{name(source.subject)}"
    same_key = " AND ".join(f"r.{name(key)} = s.{name(key)}" for key in source.keys)
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE _match AS
        SELECT s._file_id, s._file_row, r.rowid AS rid
        FROM (FROM {rows} ANTI JOIN _skip USING (_file_id, _file_row) WHERE _reason_code IS NULL) AS s
        JOIN {table} AS r ON {same_key} AND r.source = {literal(source.name)}
    """)
    compared = [*stored_columns(source.contract), "_is_deleted"]
    differs = " OR ".join(f"r.{name(column)} IS DISTINCT FROM s.{name(column)}" for column in compared)
    older = "(new_file.path < old_file.path)"
    if says == "present" or (says == "whole" and source.vanished == "delete"):
        older = "false"  # all files are in the load: what was read before is no longer there, however late it was
    elif source.cursor:
        new, old = f"s.{name(source.cursor)}", f"r.{name(source.cursor)}"
        older = f"({new} < {old} OR ({new} IS NULL AND {old} IS NOT NULL) OR ({new} IS NOT DISTINCT FROM {old} AND {older}))"
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE _verdict AS
        SELECT m.*,
            CASE WHEN {older} THEN 'superseded' WHEN NOT ({differs}) THEN 'unchanged'
                WHEN s._is_deleted THEN 'deleted' ELSE 'updated' END AS verdict,
            r._file_id <> m._file_id OR (r._file_row <> m._file_row AND {"true" if says == "whole" else "false"}) AS is_moved
        FROM _match AS m
        JOIN {rows} AS s ON s._file_id = m._file_id AND s._file_row = m._file_row
        JOIN {table} AS r ON r.rowid = m.rid
        JOIN _files AS new_file ON new_file.file_id = m._file_id
        JOIN ops.source_file AS old_file ON old_file.file_id = r._file_id
    """)
    return dict(connection.execute("SELECT verdict, count(*) FROM _verdict GROUP BY verdict").fetchall())


def _apply(connection: duckdb.DuckDBPyConnection, subject: str, run: RunRef) -> None:
    """Move what is replaced to the history, note the new place of what is unchanged, and skip what must not be written."""
    table = f"raw.{name(subject)}"
    replaced = "rowid IN (SELECT rid FROM _verdict WHERE verdict IN ('updated', 'deleted'))"
    keep_versions(connection, subject, run.run_seq, replaced)
    connection.execute(f"DELETE FROM {table} WHERE {replaced}")
    if _one(connection, "SELECT count(*) FROM _verdict WHERE verdict = 'unchanged' AND is_moved"):
        connection.execute(
            f"UPDATE {table} AS r SET _file_id = v._file_id, _file_row = v._file_row FROM _verdict AS v "
            "WHERE r.rowid = v.rid AND v.verdict = 'unchanged' AND v.is_moved"
        )
    connection.execute("INSERT INTO _skip SELECT _file_id, _file_row FROM _verdict WHERE verdict IN ('superseded', 'unchanged')")


def _set_aside(connection: duckdb.DuckDBPyConnection, source: Source, run: RunRef, rows: str, manifest: Manifest) -> int:
    """Replace what the quarantine holds of the package's parts, or records; the number of rows now in it.

    A row that was set aside leaves the quarantine with the part, or with the good version of its record.
    """
    subject = [source.name, source.subject]
    replaced = f"source = {literal(source.name)} AND subject = {literal(source.subject)}"
    if manifest.says == "whole":
        replaced += " AND file IN (SELECT path FROM _files)"
    else:
        replaced += f" AND record_hash IN (SELECT coalesce(_record_hash, {record_hash(source)}) FROM {rows})"
    keep_versions(connection, QUARANTINE, run.run_seq, replaced)
    connection.execute(f"DELETE FROM raw.{QUARANTINE} WHERE {replaced}")
    return _one(
        connection,
        "INSERT INTO raw.quarantine BY NAME "
        "SELECT ? AS source, ? AS subject, _record_key AS record_key, _reason_code AS reason_code, _reason AS reason, _raw AS raw, "
        "_raw_masked AS raw_masked, path AS file, _file_row AS file_row, ? AS run_id, ? AS _run_seq, _record_hash AS record_hash "
        f"FROM {rows} JOIN _files ON file_id = _file_id WHERE _reason_code IS NOT NULL",
        [*subject, run.run_id, run.run_seq],
    )


def _delete_vanished(connection: duckdb.DuckDBPyConnection, source: Source, run: RunRef, rows: str, says: str) -> int:
    """Mark as deleted the records of the package's parts that it does not hold, good or set aside; how many.

    A row that is set aside without a key may be any record of its part: none is deleted there until it is mended.

    Raises:
        YiwangError: YW-SYNC-006 where more vanished than the source's limit allows.
    """
    table = f"raw.{name(source.subject)}"
    own = f"r.source = {literal(source.name)} AND NOT r._is_deleted"
    same_key = " AND ".join(f"r.{name(key)} = s.{name(key)}" for key in source.keys)
    keyless = " OR ".join(f"{name(key)} IS NULL" for key in source.keys)
    unclear = f"SELECT _file_id FROM {rows} WHERE _reason_code IS NOT NULL AND ({keyless})" if says == "whole" else "SELECT NULL WHERE false"
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE _vanished AS
        SELECT r.rowid AS rid FROM {table} AS r
        WHERE {own} AND r._file_id IN (SELECT file_id FROM _files) AND r._file_id NOT IN ({unclear})
            AND NOT EXISTS (SELECT 1 FROM {rows} AS s WHERE s._reason_code IS NULL AND {same_key})
            AND {record_hash(source)} NOT IN (SELECT _record_hash FROM {rows} WHERE _reason_code IS NOT NULL)
    """)
    vanished = _one(connection, "SELECT count(*) FROM _vanished")
    there = _one(connection, f"SELECT count(*) FROM {table} AS r WHERE {own}")
    if vanished > max(source.vanished_limit * there, 1):
        raise YiwangError("YW-SYNC-006", source=source.name, subject=SUBJECT_TITLES[source.subject], vanished=vanished, there=there)
    gone = "rowid IN (SELECT rid FROM _vanished)"
    keep_versions(connection, source.subject, run.run_seq, gone)
    connection.execute(f"UPDATE {table} SET _is_deleted = true, _run_seq = {run.run_seq} WHERE {gone}")
    return vanished


def _forget_vanished(connection: duckdb.DuckDBPyConnection, source: Source, run: RunRef, rows: str, says: str) -> None:
    """Take out of the quarantine the records that the package's parts, whose keys it holds, do not have any more.

    A row that was set aside without a readable key is known by all of its columns, not by its key: it stays, unless the
    package holds whatever is set aside.
    """
    replaced = f"source = {literal(source.name)} AND subject = {literal(source.subject)} AND "
    replaced += f"record_hash NOT IN (SELECT _record_hash FROM {rows} WHERE _record_hash IS NOT NULL)" if says == "aside" else (
        f"file IN (SELECT path FROM _files) AND record_hash <> md5(raw) AND record_hash NOT IN (SELECT coalesce(_record_hash, {record_hash(source)}) FROM {rows})"
    )
    keep_versions(connection, QUARANTINE, run.run_seq, replaced)
    connection.execute(f"DELETE FROM raw.{QUARANTINE} WHERE {replaced}")


def _note(connection: duckdb.DuckDBPyConnection, source: Source, run: RunRef, counts: dict[str, int], manifest: Manifest) -> None:
    """Add the counts to those of the run, note the files as read, the columns that nothing maps and those that filled a field."""
    subject = [source.name, source.subject]
    sums = ", ".join(f"{column} = {column} + {counts[column]}" for column in COUNTS)
    own = "run_id = ? AND source = ? AND subject = ?"
    if not _one(connection, f"UPDATE ops.sync_count SET {sums} WHERE {own}", [run.run_id, *subject]):
        values = [run.run_id, run.run_seq, *subject, *(counts[column] for column in COUNTS)]
        connection.execute(f"INSERT INTO ops.sync_count VALUES ({', '.join('?' * len(values))})", values)
    connection.execute("DELETE FROM ops.source_file WHERE file_id IN (SELECT file_id FROM _files)")
    connection.executemany(
        "INSERT INTO ops.source_file VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [[file[0], *subject, *file[1:], run.run_seq] for file in manifest.files],
    )
    for column in manifest.unmapped:
        connection.execute(
            "INSERT INTO ops.unmapped_column SELECT $1, $2, $3, $4 WHERE NOT EXISTS (SELECT 1 FROM ops.unmapped_column "
            "WHERE run_id = $1 AND source = $2 AND subject = $3 AND column_name = $4)", [run.run_id, *subject, column]
        )
    if manifest.filled is not None:
        connection.execute("DELETE FROM ops.filled_field WHERE source = ? AND subject = ?", subject)
        connection.executemany("INSERT INTO ops.filled_field VALUES (?, ?, ?, ?, ?)", [[*subject, *pair, run.run_seq] for pair in manifest.filled.items()])
        # a column is missing from a run when none of its loads has it: a load says what it and those before it lack
        connection.execute(f"DELETE FROM ops.missing_column WHERE {own}", [run.run_id, *subject])
        for column in manifest.missing:
            connection.execute("INSERT INTO ops.missing_column VALUES (?, ?, ?, ?)", [run.run_id, *subject, column])
    if manifest.position is not None:
        connection.execute("DELETE FROM ops.source_position WHERE source = ? AND subject = ?", subject)
        connection.execute("INSERT INTO ops.source_position VALUES (?, ?, ?, ?, ?)", [*subject, manifest.settings, manifest.position, run.run_seq])


def _one(connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[object] = ()) -> int:
    row = connection.execute(query, parameters).fetchone()
    return int(row[0]) if row else 0
