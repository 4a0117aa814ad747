"""Makes packages: by period, or on demand for a list of records."""

# ruff: noqa: S608 - names are ours or of the catalogue

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import duckdb

from models.domain.errors import YiwangError
from models.domain.progress import NoProgress, Progress
from models.domain.settings import Settings
from models.store.snapshots import Snapshot, SnapshotStore
from quality.catalogue.loading import load_rules, rule_files
from quality.catalogue.model import Rule
from quality.reporting import ledger
from quality.reporting.closing import reconcile
from quality.reporting.files import write_held, write_package
from quality.reporting.items import REPORTED, Subject, subject_of, table_of
from quality.reporting.ledger import Folders, Package
from quality.reporting.manifest import (
    MANIFEST,
    SIGNATURE,
    Catalogue,
    Days,
    ItemStatement,
    Manifest,
    Previous,
    Reconciliation,
    sm3,
)
from quality.reporting.period import Period
from quality.reporting.selection import (
    ACTIONS,
    CORRECT,
    HELD,
    LATE,
    NEW,
    REASONS,
    WITHDRAW,
    decide,
    find_gone,
    find_reasons,
    followers,
    one,
    require_checks,
    within,
)  # fmt: skip
from quality.reporting.shelf import HeldGroup
from quality.reporting.signing import sign
from quality.reporting.workbook import LIMIT

CHOOSING = "选取记录"
"""Stage of progress before those of :mod:`quality.reporting.files`."""
VANISHED = 0.2
"""Share of what was reported that may vanish from the source at once; more looks like a broken source, not like withdrawals."""


@dataclass
class _Draft:
    """What a package is made of, while it is made."""

    connection: duckdb.DuckDBPyConnection
    settings: Settings
    folders: Folders
    snapshot: Snapshot
    subject: Subject
    rules: list[Rule]
    catalogue: Catalogue
    before: list[Package]
    number: str
    progress: Progress
    sheet_rows: int

    @property
    def folder(self) -> Path:
        return self.folders.building / self.number

    @property
    def titles(self) -> dict[str, str]:
        return {**{rule.id: rule.title for rule in self.rules}, **REASONS}


def build(
    settings: Settings, subject: str, period: Period, at: datetime, *, rules: Path | None = None, vanished: float = VANISHED,
    progress: Progress | None = None, sheet_rows: int = LIMIT,
) -> Package:  # fmt: skip
    """The package of a subject and period: see :func:`quality.reporting.service.build`."""
    with _drafting(settings, subject, rules, progress, sheet_rows) as draft:
        _refuse_days(draft, period)
        covered, gone = _choose(draft, period)
        _refuse_vanished(draft, gone, vanished)
        _outgoing(draft, "deleted")
        total = one(draft.connection, "SELECT count(*) FROM outgoing")
        same = [package for package in draft.before if package.period == period]
        if same and not total:
            raise YiwangError("YW-REPORT-003", title=draft.subject.title, period=period, package=same[-1].number)
        if draft.subject.on.day and not one(draft.connection, f"SELECT count(*) FROM fate WHERE {within('day', [period])}"):
            raise YiwangError("YW-REPORT-002", period=period, detail=f"该期没有{draft.subject.title}记录")
        closing = reconcile(draft.connection, draft.subject, _not_due(draft.subject, covered), draft.titles)
        draft.progress.finish(CHOOSING, f"上报 {total:,} 行，未上报 {closing.held_back:,} 行")
        write_held(draft.connection, draft.subject, draft.folder / ledger.HELD, draft.progress, draft.sheet_rows)
        return _finish(draft, "build", period, closing, at)


def on_demand(
    settings: Settings, subject: str, kind: Literal["correct", "withdraw"], keys: Sequence[str], at: datetime, *, rules: Path | None = None,
    progress: Progress | None = None, sheet_rows: int = LIMIT,
) -> Package:  # fmt: skip
    """A package that corrects or withdraws some records: see :mod:`quality.reporting.service`."""
    with _drafting(settings, subject, rules, progress, sheet_rows) as draft:
        connection = draft.connection
        _ask(draft, keys)
        if kind == CORRECT:
            find_reasons(connection, draft.subject.table, draft.rules)
            decide(connection, draft.subject, None, [])
            connection.execute(
                f"UPDATE fate SET fate = CASE WHEN (source, record_key) NOT IN (SELECT (source, record_key) FROM asked) THEN 'other' WHEN fate = '{HELD}' THEN fate ELSE '{CORRECT}' END"
            )
            _refuse_some(draft, "SELECT record_key FROM asked ANTI JOIN fate USING (source, record_key)", "来源已没有")
            _refuse_some(draft, f"SELECT record_key FROM fate WHERE fate = '{HELD}'", "仍有不予上报的问题")
            connection.execute("CREATE OR REPLACE TEMP TABLE gone AS SELECT source, record_key, key, day, digest FROM reported LIMIT 0")
        else:
            _refuse_some(draft, "SELECT record_key FROM asked WHERE state <> 'reported'", "已经撤回")
            connection.execute("CREATE OR REPLACE TEMP TABLE gone AS SELECT source, record_key, key, day, digest FROM asked")
            connection.execute("CREATE OR REPLACE TEMP TABLE fate AS SELECT *, '' AS fate FROM gone LIMIT 0")
        _outgoing(draft, "withdrawn")
        connection.execute("CREATE OR REPLACE TEMP TABLE closing AS SELECT '' AS line, '' AS rule_id, 0 AS rows LIMIT 0")
        draft.progress.finish(CHOOSING)
        return _finish(draft, kind, None, None, at)


def list_held(
    settings: Settings, subject: str, period: Period, folder: Path | None = None, *, rules: Path | None = None, progress: Progress | None = None,
    sheet_rows: int = LIMIT,
) -> list[HeldGroup]:  # fmt: skip
    """What would be held back: see :func:`quality.reporting.service.held`."""
    with _drafting(settings, subject, rules, progress, sheet_rows) as draft:
        _refuse_days(draft, period)
        _choose(draft, period)
        draft.progress.finish(CHOOSING)
        if folder is not None:
            write_held(draft.connection, draft.subject, draft.folder / ledger.HELD, draft.progress, draft.sheet_rows)
            shutil.copytree(draft.folder / ledger.HELD, folder)
        found = draft.connection.execute(
            "SELECT department_code, department_name, rule_id, rule, count(*) FILTER (is_first), count(*) FROM held_reason GROUP BY ALL ORDER BY 6 DESC, 1, 3"
        )
        return [HeldGroup(*row) for row in found.fetchall()]


def list_followers(settings: Settings, package: str) -> dict[str, int]:
    """What a package left above: see :func:`quality.reporting.service.followers`."""
    with ledger.opened(settings) as connection:
        ledger.attach_snapshot(connection, SnapshotStore(settings).in_service().path, Folders.of(settings).building)
        queries = {subject: followers(subject, package) for subject in REPORTED}
        counted = {subject: one(connection, f"SELECT count(*) FROM ({query})") for subject, query in queries.items() if query}
    return {subject: rows for subject, rows in counted.items() if rows}


@contextmanager
def _drafting(settings: Settings, subject: str, rules: Path | None, progress: Progress | None, sheet_rows: int) -> Iterator[_Draft]:
    """What every package begins with; what was built is removed when it does not come to its end."""
    table = table_of(subject)
    snapshot = SnapshotStore(settings).in_service()
    folders = Folders.of(settings)
    with ledger.opened(settings) as connection:
        before = ledger.packages(connection, subject)
        number = f"{subject}-{len(before) + 1:06d}"
        folder = folders.building / number
        folder.mkdir()
        try:
            ledger.attach_snapshot(connection, snapshot.path, folder)
            require_checks(connection)
            own = settings.own_rules if rules is None else None
            catalogue = load_rules(rules, own=own)
            stated = Catalogue(sm3=_digest_of(rules, own), rules=len(catalogue), blocking=sum(rule.severity == "blocks" for rule in catalogue))
            mart = {row[0] for row in connection.execute(f"DESCRIBE marts.{table}").fetchall()}
            draft = _Draft(
                connection, settings, folders, snapshot, subject_of(subject, mart), catalogue, stated, before, number, progress or NoProgress(), sheet_rows
            )
            draft.progress.start(CHOOSING)
            yield draft
        except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
            raise YiwangError("YW-RUN-007", path=folders.root, detail=str(error).splitlines()[0]) from error
        finally:
            ledger.abandon(connection, folders, number)


def _digest_of(rules: Path | None, own: Path | None) -> str:
    """Version of the rule catalogue: digest of its files by name."""
    return sm3(b"".join(f"{path.name}\n{sm3(path.read_bytes())}\n".encode() for path in rule_files(rules, own)))


def _refuse_days(draft: _Draft, period: Period) -> None:
    last = draft.snapshot.as_of.astimezone(draft.settings.tzinfo).date()
    if period.last > last:
        raise YiwangError("YW-REPORT-002", period=period, detail=f"止日 {period.last} 晚于已发布数据的截止日 {last}")
    if draft.before and draft.snapshot.as_of < max(package.as_of for package in draft.before):
        raise YiwangError("YW-REPORT-002", period=period, detail=f"已发布数据的截止日 {last} 早于上一包所用的数据，会把已上报的内容改回去")


def _choose(draft: _Draft, period: Period) -> tuple[list[Period], int]:
    """Fills ``fate``, ``gone`` and ``held_reason``; the periods that packages have been about, this one included, and how many records vanished."""
    covered = [package.period for package in draft.before if package.period]
    find_reasons(draft.connection, draft.subject.table, draft.rules)
    decide(draft.connection, draft.subject, period, covered)
    gone = find_gone(draft.connection, draft.subject)
    on, titles = draft.subject.on, draft.titles
    draft.connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE held_reason AS
        SELECT h.*, n.department_name FROM (SELECT r.source, r.record_key, f.day, {on.department or "NULL"} AS department_code, r.place, r.rule_id,
            coalesce(MAP($rules, $titles)[r.rule_id], r.rule_id) AS rule, r.field, r.value, r.message, r.rule_id = f.first_rule AS is_first,
            f.is_reported AND (f.source, f.record_key) NOT IN (SELECT (source, record_key) FROM gone) AS is_reported
        FROM reason_{draft.subject.table} AS r
        JOIN (SELECT * FROM fate WHERE fate = '{HELD}') AS f USING (source, record_key)
        JOIN marts.{draft.subject.table} AS t ON t.source = r.source AND {on.record_key} = r.record_key) AS h
        LEFT JOIN (SELECT department_code, any_value(department_name) AS department_name FROM marts.dim_department GROUP BY 1) AS n USING (department_code)
        """,
        {"rules": list(titles), "titles": list(titles.values())},
    )
    return [period, *covered], gone


def _not_due(subject: Subject, covered: Sequence[Period]) -> str:
    on = subject.on
    if not on.day:
        return "false"
    return f"NOT {within(f'({on.day})', covered)} AND ({on.source}, {on.record_key}) NOT IN (SELECT (source, record_key) FROM reported)"


def _refuse_vanished(draft: _Draft, gone: int, most: float) -> None:
    reported = one(draft.connection, "SELECT count(*) FROM reported WHERE state = 'reported'")
    if gone > 1 and gone > most * reported:
        raise YiwangError("YW-REPORT-011", title=draft.subject.title, gone=gone, reported=reported)


def _outgoing(draft: _Draft, state: str) -> None:
    """Fills ``outgoing``, what the ledger will know, and ``line``, what the package will say."""
    connection, subject, on = draft.connection, draft.subject, draft.subject.on
    going = f"fate IN ('{NEW}', '{LATE}', '{CORRECT}')"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE outgoing AS
        SELECT source, record_key, key, day, digest, 'reported' AS state FROM fate WHERE {going}
        UNION ALL SELECT source, record_key, key, day, digest, '{state}' FROM gone
        """
    )
    items = ", ".join(f"{item.sql} AS {item.field}" for item in subject.sent)
    types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE SELECT {items} FROM marts.{subject.table} AS t").fetchall()}
    keys = {column: f"CAST(key[{number}] AS {types[column]})" for number, column in enumerate(on.key, start=1)}
    without = ", ".join(f"{keys.get(item.field, 'NULL')} AS {item.field}" for item in subject.sent)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE line AS
        SELECT * EXCLUDE (record_key) FROM (
            SELECT f.fate AS action, t.source, f.record_key, {items}
            FROM marts.{subject.table} AS t JOIN (SELECT * FROM fate WHERE {going}) AS f ON f.source = t.source AND f.record_key = {on.record_key}
            UNION ALL SELECT '{WITHDRAW}', source, record_key, {without} FROM gone
        ) ORDER BY source, record_key
        """
    )


def _finish(draft: _Draft, kind: Literal["build", "correct", "withdraw"], period: Period | None, closing: Reconciliation | None, at: datetime) -> Package:
    folder = draft.folder / ledger.PACKAGE
    files = write_package(draft.connection, draft.subject, folder, draft.progress, draft.sheet_rows)
    counted = dict(draft.connection.execute("SELECT action, count(*) FROM line GROUP BY 1").fetchall())
    last = draft.before[-1] if draft.before else None
    manifest = Manifest(
        package=draft.number, kind=kind, subject=draft.subject.name, title=draft.subject.title, period=period and Days(first=period.first, last=period.last),
        run_id=draft.snapshot.run_id, as_of=draft.snapshot.as_of, built_at=at,
        previous=last and Previous(package=last.number, manifest_sm3=last.manifest_sm3), catalogue=draft.catalogue,
        items=tuple(ItemStatement(field=i.field, title=i.title, item=i.item, state=i.state, why=i.why) for i in draft.subject.items),
        counts={action: counted.get(action, 0) for action in ACTIONS}, reconciliation=closing, files=tuple(files),
    )  # fmt: skip
    content = manifest.to_json()
    (folder / MANIFEST).write_bytes(content)
    (folder / SIGNATURE).write_bytes(sign(draft.settings, content).to_json())
    package = Package(
        draft.number, draft.subject.name, kind, period, draft.snapshot.run_id, draft.snapshot.as_of, at, manifest.lines,
        closing.held_back if closing else 0, sm3(content),
    )  # fmt: skip
    ledger.commit(draft.connection, draft.folders, package, draft.subject)
    return package


def _ask(draft: _Draft, keys: Sequence[str]) -> None:
    """Fills ``asked`` with what the ledger has of the records that people name."""
    connection = draft.connection
    named = [key.rpartition("\t") for key in dict.fromkeys(key.strip() for key in keys) if key]
    if not named:
        raise YiwangError("YW-REPORT-008", detail="没有给出主键")
    connection.execute("CREATE OR REPLACE TEMP TABLE named AS SELECT unnest($sources) AS source, unnest($keys) AS record_key", {
        "sources": [source or None for source, _, _ in named], "keys": [key for _, _, key in named]})  # fmt: skip
    connection.execute(f"CREATE OR REPLACE TEMP VIEW reported AS SELECT * FROM ledger.reported WHERE subject = '{draft.subject.name}'")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE asked AS SELECT r.* FROM reported AS r JOIN named AS n ON n.record_key = r.record_key AND coalesce(n.source, r.source) = r.source"
    )
    _refuse_some(draft, "SELECT record_key FROM named ANTI JOIN asked USING (record_key)", "没有上报过")
    _refuse_some(draft, "SELECT record_key FROM asked GROUP BY 1 HAVING count(*) > 1", "不止一个来源有，须在前面写明来源和制表符")


def _refuse_some(draft: _Draft, query: str, why: str) -> None:
    if found := draft.connection.execute(f"SELECT DISTINCT record_key FROM ({query}) ORDER BY 1").fetchmany(4):
        shown = "、".join(row[0] for row in found[:3]) + ("等" if len(found) > 3 else "")
        raise YiwangError("YW-REPORT-008", detail=f"{shown} {why}")

