"""Questions to the quality ledger of a snapshot: scorecards, trend, worst rules, violations, the history of one record.

Lists in pages are asked of :mod:`models.store.warehouse`; here is what needs more than one table of the ledger. Names are constants,
values are bound. What does not belong here: what a violation is and when it is healed (``quality.ledger``), labels, HTML.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from models.store.snapshots import Snapshot, SnapshotStore

Row = dict[str, Any]

STATES = ("open", "healed", "all")
COUNTED = "counted"
"""Severity that stands for all that count."""
_COUNTED = "severity IN ('blocks', 'counts')"
"""Advice is shown and never counted."""
_SILENT = "status NOT IN ('evaluated', 'empty')"
_OF_DEPARTMENTS = "rule_id IN (SELECT rule_id FROM marts.quality_rule WHERE owner = 'department')"
"""Rules whose violations departments mend; the platform's own figures are no merit of a department."""
_LIST = """v.rule_id, r.title AS rule_title, r.remedy, v.table_name, r.subject, v.source, v.record_key, v.field, v.value, v.department_code, d.department_name,
    v.partition_on, v.severity, v.dimension, v.message, v.first_seen_run, v.first_seen_at, v.last_seen_run, v.last_seen_at, v.healed_run, v.healed_at,
    v.times_reopened"""
_FROM = """FROM marts.quality_violation AS v LEFT JOIN marts.quality_rule AS r USING (rule_id)
    LEFT JOIN (SELECT DISTINCT ON (department_code) department_code, department_name FROM marts.dim_department) AS d USING (department_code)"""
_NEWEST = "(SELECT * FROM marts.quality_profile WHERE month = (SELECT max(month) FROM marts.quality_profile))"
_ORDER = "v.last_seen_at DESC, v.severity, v.rule_id, v.source, v.record_key"


@dataclass(frozen=True)
class Wanted:
    """Which violations; None stands for any.

    Attributes:
        state: ``open``, ``healed`` or ``all``.
        rule_id: Of this rule, or of rules whose title contains it.
        department_code: Of this department; empty text: of none.
        subject: Of rules of this subject.
        severity: ``blocks``, ``counts``, ``advises``, or ``counted`` for the first two.
        record_key: Of records whose key begins so.
    """

    state: str = "open"
    rule_id: str | None = None
    department_code: str | None = None
    subject: str | None = None
    severity: str | None = None
    record_key: str | None = None


@dataclass(frozen=True)
class Overview:
    """The state of quality as of a snapshot.

    Attributes:
        totals: ``rows_checked``, ``rows_failed`` (advice left out), ``open`` (likewise), ``blocking``, ``advice``; ``opened`` and ``healed`` in the snapshot's
            run (advice left out).
        rules: ``evaluated``, ``empty`` (evaluated, but there was no row to look at) and ``not_evaluated``.
        cells: department_code, department_name, subject, rows_checked, rows_failed: advice, and rules of which the platform is the owner, left out.
        departments: department_code, records (rows of the marts that rules checked), records_failed (those with an open violation that counts, of
            rules as in ``cells``; of rules that list a sample, of the sample): the worst share first.
        trend: date, rows_checked, rows_failed, opened, healed, by the day of the run.
        worst: Rules with failed rows, most first: rule_id, title, subject, dimension, severity, rows_checked, rows_failed, rows_listed.
        silent: Rules that could not be evaluated, with ``reason``.
    """

    totals: Row
    rules: Row
    cells: list[Row]
    departments: list[Row]
    trend: list[Row]
    worst: list[Row]
    silent: list[Row]


class QualityRepository:
    """Reads the ledger.

    Args:
        store: Where the snapshots are.
    """

    def __init__(self, store: SnapshotStore) -> None:
        self.store = store

    def overview(self, snapshot: Snapshot, worst: int = 15) -> Overview:
        """How it stands.

        Args:
            snapshot: What is read.
            worst: Most rules among the worst.

        Raises:
            YiwangError: YW-STORE-007 where the snapshot is older than the ledger.
        """
        [totals] = self.store.rows(
            snapshot,
            f"""SELECT (SELECT coalesce(sum(rows_checked), 0)::BIGINT FROM marts.mart_quality_department_day WHERE {_COUNTED}) AS rows_checked,
                (SELECT coalesce(sum(rows_failed), 0)::BIGINT FROM marts.mart_quality_department_day WHERE {_COUNTED}) AS rows_failed,
                count(*) FILTER (healed_at IS NULL AND {_COUNTED}) AS open, count(*) FILTER (healed_at IS NULL AND severity = 'blocks') AS blocking,
                count(*) FILTER (healed_at IS NULL AND severity = 'advises') AS advice, count(*) FILTER (first_seen_run = ? AND {_COUNTED}) AS opened, count(*) FILTER (healed_run = ? AND {_COUNTED}) AS healed
                FROM marts.quality_violation""",  # noqa: S608 - constants
            snapshot.run_id, snapshot.run_id,
        )  # fmt: skip
        rules = self.store.rows(snapshot, f"SELECT count(*) FILTER (status = 'evaluated') AS evaluated, count(*) FILTER (status = 'empty') AS empty, count(*) FILTER ({_SILENT}) AS not_evaluated FROM marts.quality_rule")  # noqa: S608
        cells = self.store.rows(
            snapshot,
            f"""WITH cell AS (
                    SELECT department_code, subject, sum(rows_checked)::BIGINT AS rows_checked, sum(rows_failed)::BIGINT AS rows_failed
                    FROM marts.mart_quality_department_day WHERE {_COUNTED} AND {_OF_DEPARTMENTS} GROUP BY ALL HAVING sum(rows_checked) > 0)
                SELECT c.*, d.department_name, sum(c.rows_failed) OVER own / sum(c.rows_checked) OVER own AS share
                FROM cell AS c LEFT JOIN (SELECT DISTINCT ON (department_code) department_code, department_name FROM marts.dim_department) AS d USING (department_code)
                WINDOW own AS (PARTITION BY c.department_code) ORDER BY share DESC, department_code NULLS LAST, subject""",  # noqa: S608
        )
        departments = self.store.rows(
            snapshot,
            f"""WITH looked_at AS (
                    SELECT d.department_code, r.table_name, sum(d.rows_checked) AS rows FROM marts.mart_quality_department_day AS d JOIN marts.quality_rule AS r USING (rule_id)
                    WHERE r.owner = 'department' GROUP BY d.department_code, r.table_name, d.rule_id),
                counted AS (  -- a rule without a condition looks at every row of its mart
                    SELECT department_code, sum(rows)::BIGINT AS records FROM (SELECT department_code, table_name, max(rows) AS rows FROM looked_at GROUP BY ALL) GROUP BY ALL),
                spoilt AS (
                    SELECT department_code, count(DISTINCT (table_name, source, record_key)) AS records_failed FROM marts.quality_violation
                    WHERE healed_at IS NULL AND {_COUNTED} AND {_OF_DEPARTMENTS} GROUP BY ALL)
                SELECT c.department_code, c.records, least(coalesce(s.records_failed, 0), c.records)::BIGINT AS records_failed
                FROM counted AS c LEFT JOIN spoilt AS s ON s.department_code IS NOT DISTINCT FROM c.department_code
                WHERE c.records > 0 ORDER BY records_failed / c.records DESC, c.department_code NULLS LAST""",  # noqa: S608
        )
        trend = self.store.rows(
            snapshot,
            """SELECT d.date, sum(d.rows_checked)::BIGINT AS rows_checked, sum(d.rows_failed)::BIGINT AS rows_failed, sum(d.opened)::BIGINT AS opened,
                sum(d.healed)::BIGINT AS healed FROM marts.mart_quality_rule_day AS d LEFT JOIN marts.quality_rule AS r USING (rule_id)
                WHERE r.severity IS DISTINCT FROM 'advises' GROUP BY d.date ORDER BY d.date""",
        )
        return Overview(totals, rules[0], cells, departments, trend, self.rules(snapshot, failed_only=True)[:worst], self._silent(snapshot))

    def rules(self, snapshot: Snapshot, *, failed_only: bool = False) -> list[Row]:
        """Every rule with what its latest evaluation of all partitions found, the worst first."""
        having = "WHERE rows_failed > 0" if failed_only else ""
        return self.store.rows(
            snapshot,
            f"""SELECT * FROM (
                    SELECT r.rule_id, r.title, r.table_name, r.subject, r.dimension, r.severity, r.gate, r.owner, r.standard, r.clause, r.remedy, r.status, r.reason,
                        coalesce(sum(c.rows_checked), 0)::BIGINT AS rows_checked, coalesce(sum(c.rows_failed), 0)::BIGINT AS rows_failed,
                        coalesce(sum(c.rows_listed), 0)::BIGINT AS rows_listed
                    FROM marts.quality_rule AS r LEFT JOIN marts.quality_check AS c USING (rule_id) GROUP BY ALL)
                {having} ORDER BY rows_failed DESC, rule_id""",  # noqa: S608
        )

    def violations(self, snapshot: Snapshot, wanted: Wanted, number: int = 1, size: int = 50) -> tuple[list[Row], int]:
        """A page of violations, the newest first, and how many there are.

        Args:
            snapshot: What is read.
            wanted: Which.
            number: Page, from 1.
            size: Rows of a page.
        """
        condition, values = _where(wanted)
        [counted] = self.store.rows(snapshot, f"SELECT count(*) AS n {_FROM} WHERE {condition}", *values)  # noqa: S608
        sql = f"SELECT {_LIST} {_FROM} WHERE {condition} ORDER BY {_ORDER} LIMIT ? OFFSET ?"  # noqa: S608
        return self.store.rows(snapshot, sql, *values, size, (number - 1) * size), int(counted["n"])

    def export(self, snapshot: Snapshot, wanted: Wanted, page: int = 5_000) -> Iterator[tuple[list[str], list[tuple[Any, ...]]]]:
        """All violations that are wanted, page by page with the names of the columns; the snapshot is held meanwhile."""
        condition, values = _where(wanted)
        with self.store.acquire(snapshot) as connection:
            found = connection.cursor().execute(f"SELECT {_LIST} {_FROM} WHERE {condition} ORDER BY {_ORDER}", values)  # noqa: S608
            names = [column[0] for column in found.description or ()]
            yield names, []
            while rows := found.fetchmany(page):
                yield names, rows

    def record(self, snapshot: Snapshot, table: str, source: str | None, key: str) -> list[Row]:
        """What was ever found about one record, in the order in which it was found first."""
        sql = f"SELECT {_LIST} {_FROM} WHERE v.table_name = ? AND v.source IS NOT DISTINCT FROM ? AND v.record_key = ? ORDER BY v.first_seen_at, v.rule_id"  # noqa: S608
        return self.store.rows(snapshot, sql, table, source, key)

    def choices(self, snapshot: Snapshot) -> tuple[list[Row], list[str]]:
        """Departments and subjects that have violations, to choose from."""
        departments = self.store.rows(snapshot, f"SELECT DISTINCT v.department_code, d.department_name {_FROM} WHERE v.department_code IS NOT NULL ORDER BY ALL")  # noqa: S608
        return departments, [row["subject"] for row in self.store.rows(snapshot, "SELECT DISTINCT subject FROM marts.quality_rule ORDER BY 1")]

    def profiled(self, snapshot: Snapshot) -> list[Row]:
        """The marts that were profiled: table_name, row_count, columns, empty (columns without a value), drifted, month."""
        return self.store.rows(
            snapshot,
            f"""SELECT table_name, any_value(row_count) AS row_count, count(*) AS columns, count(*) FILTER (row_count > 0 AND null_count = row_count) AS empty,
                count(*) FILTER (is_drifted) AS drifted, max(month) AS month FROM {_NEWEST} GROUP BY 1 ORDER BY 1""",  # noqa: S608 - constants
        )

    def titles(self, snapshot: Snapshot) -> dict[tuple[str, str], str]:
        """Mart and column → Chinese title, by the catalogue; with an empty column the mart's own."""
        query = """SELECT replace(table_name, 'marts.', '') AS name, column_name, title FROM marts.catalogue_column WHERE starts_with(table_name, 'marts.')
            UNION ALL SELECT replace(table_name, 'marts.', ''), '', title FROM marts.catalogue_table WHERE starts_with(table_name, 'marts.')"""
        return {(row["name"], row["column_name"]): row["title"] for row in self.store.rows(snapshot, query)}

    def profile(self, snapshot: Snapshot, table: str) -> list[Row]:
        """The columns of a mart as they were last profiled, in their order; none where it was not."""
        return self.store.rows(snapshot, f"SELECT * FROM {_NEWEST} WHERE table_name = ? ORDER BY position", table)  # noqa: S608

    def drifted(self, snapshot: Snapshot) -> list[Row]:
        """The columns that are not distributed as in the month before."""
        return self.store.rows(snapshot, f"SELECT * FROM {_NEWEST} WHERE is_drifted ORDER BY table_name, position")  # noqa: S608

    def suspicions(self, snapshot: Snapshot, kind: str | None = None, *, unruled_only: bool = False, most: int = 200) -> list[Row]:
        """What is suspicious, the oddest of each kind first, with the name of the department.

        Args:
            snapshot: What is read.
            kind: Of this kind only.
            unruled_only: Leave out records of which a rule says something already.
            most: Rows of each kind.
        """
        return self.store.rows(
            snapshot,
            """SELECT s.*, d.department_name FROM marts.quality_suspicion AS s
                LEFT JOIN (SELECT DISTINCT ON (department_code) department_code, department_name FROM marts.dim_department) AS d USING (department_code)
                WHERE (? IS NULL OR s.kind = ?) AND (NOT ? OR s.breaks_rule IS DISTINCT FROM true)
                QUALIFY row_number() OVER (PARTITION BY s.kind ORDER BY s.rank) <= ? ORDER BY s.kind, s.rank""",
            kind, kind, unruled_only, most,
        )  # fmt: skip

    def _silent(self, snapshot: Snapshot) -> list[Row]:
        return self.store.rows(snapshot, f"SELECT rule_id, title, reason FROM marts.quality_rule WHERE {_SILENT} ORDER BY 1")  # noqa: S608


def _where(wanted: Wanted) -> tuple[str, list[Any]]:
    conditions = [{"open": "v.healed_at IS NULL", "healed": "v.healed_at IS NOT NULL"}.get(wanted.state, "true")]
    values: list[Any] = []
    if wanted.severity == COUNTED:
        conditions.append("v.severity IN ('blocks', 'counts')")
    for condition, value in (
        ("(v.rule_id = ? OR contains(r.title, ?))", wanted.rule_id), ("r.subject = ?", wanted.subject),
        ("v.severity = ?", None if wanted.severity == COUNTED else wanted.severity), ("starts_with(v.record_key, ?)", wanted.record_key),
    ):  # fmt: skip
        if value:
            conditions.append(condition)
            values += [value] * condition.count("?")
    if wanted.department_code == "":
        conditions.append("v.department_code IS NULL")
    elif wanted.department_code is not None:
        conditions.append("v.department_code = ?")
        values.append(wanted.department_code)
    return " AND ".join(conditions), values
