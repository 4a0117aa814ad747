"""Questions of the pages to the published snapshot: the public matter directory, a run's state, departments' scores.

What the API already answers (one score with its indicators) is asked of :mod:`models.store.warehouse`. Names are
constants, values are always bound. What does not belong here: labels, links, HTML.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

from models.store.snapshots import Snapshot, SnapshotStore

Row = dict[str, Any]

_PUBLIC = "matter_state_code IS DISTINCT FROM 'cancelled'"
"""What the directory shows: a suspended matter is shown as such, a cancelled one is not."""


@dataclass(frozen=True)
class MatterSearch:
    """What is looked for in the directory; None or empty stands for any.

    Attributes:
        words: Words that the name must contain, all of them, letter case aside.
        department_code: Department that handles the matter.
        type_code: Code of table A.1.
        is_online: Whether it can be handled online.
    """

    words: tuple[str, ...] = ()
    department_code: str | None = None
    type_code: str | None = None
    is_online: bool | None = None


@dataclass(frozen=True)
class MatterPage:
    """A page of the directory: its rows, its number from 1 (the last one when a later one was asked for), all in all."""

    items: list[Row]
    number: int
    pages: int
    count: int


@dataclass(frozen=True)
class RunState:
    """A published run.

    Attributes:
        run: Row of ``marts.run``; empty when the snapshot has none.
        sync: Rows of ``marts.mart_sync_run`` of this run.
        set_aside: What stands in quarantine: source, subject, reason_code, an example of the reason, rows.
        checks: Rows of ``marts.check_result`` of this run, failed and severe ones first.
    """

    run: Row
    sync: list[Row]
    set_aside: list[Row]
    checks: list[Row]


class PageRepository:
    """Reads what the pages show.

    Args:
        store: Where the snapshots are.
    """

    def __init__(self, store: SnapshotStore) -> None:
        self.store = store

    def matters(self, snapshot: Snapshot, search: MatterSearch, number: int = 1, size: int = 20) -> MatterPage:
        """A page of the directory, by department and code.

        Args:
            snapshot: What is read.
            search: What is looked for.
            number: Page from 1; beyond the last one, the last one is given.
            size: Matters a page.
        """
        conditions, values = _matching(search)
        where = f"FROM marts.dim_matter AS m LEFT JOIN marts.dim_department AS d USING (department_code) WHERE {' AND '.join(conditions)}"
        count = int(self.store.rows(snapshot, f"SELECT count(*) AS n {where}", *values)[0]["n"])
        pages = max(1, -(-count // size))
        number = min(max(1, number), pages)
        items = self.store.rows(
            snapshot,
            f"SELECT m.*, coalesce(m.department_name, d.department_name) AS department {where} "
            "ORDER BY d.sort_order NULLS LAST, m.department_code, m.matter_code, m.source LIMIT ? OFFSET ?",
            *values, size, (number - 1) * size,
        )
        return MatterPage(items, number, pages, count)

    def matter(self, snapshot: Snapshot, source: str, matter_code: str) -> Row | None:
        """One matter of the directory, None when it is not in it."""
        sql = f"""
            SELECT m.*, coalesce(m.department_name, d.department_name) AS department, r.region_name
            FROM marts.dim_matter AS m LEFT JOIN marts.dim_department AS d USING (department_code)
            LEFT JOIN (SELECT region_code, min(region_name) AS region_name FROM marts.dim_region GROUP BY ALL) AS r ON r.region_code = m.region_code
            WHERE m.source = ? AND m.matter_code = ? AND {_PUBLIC}
        """  # noqa: S608 (a constant)
        found = self.store.rows(snapshot, sql, source, matter_code)
        return found[0] if found else None

    def matter_departments(self, snapshot: Snapshot) -> list[Row]:
        """Departments of the directory: code, name, number of matters."""
        sql = f"""
            SELECT m.department_code AS code, coalesce(any_value(m.department_name), any_value(d.department_name), m.department_code) AS name, count(*) AS n
            FROM marts.dim_matter AS m LEFT JOIN marts.dim_department AS d USING (department_code)
            WHERE m.department_code IS NOT NULL AND {_PUBLIC}
            GROUP BY m.department_code ORDER BY any_value(d.sort_order) NULLS LAST, m.department_code
        """  # noqa: S608 (a constant)
        return self.store.rows(snapshot, sql)

    def matter_types(self, snapshot: Snapshot) -> list[Row]:
        """Types of the directory's matters: code, number of matters."""
        where = f"WHERE type_code IS NOT NULL AND {_PUBLIC}"
        return self.store.rows(snapshot, f"SELECT type_code AS code, count(*) AS n FROM marts.dim_matter {where} GROUP BY ALL ORDER BY code")  # noqa: S608

    def run_state(self, snapshot: Snapshot) -> RunState:
        """How the snapshot's run went."""
        run = self.store.rows(snapshot, "SELECT * FROM marts.run WHERE run_id = ?", snapshot.run_id)
        return RunState(
            run[0] if run else {},
            self.store.rows(snapshot, "SELECT * FROM marts.mart_sync_run WHERE run_id = ? ORDER BY source, rows_read DESC, subject", snapshot.run_id),
            self.store.rows(
                snapshot,
                "SELECT source, subject, reason_code, min(reason) AS reason, count(*) AS n FROM marts.quarantine GROUP BY ALL "
                "ORDER BY n DESC, source, subject, reason_code",
            ),
            self.store.rows(
                snapshot, "SELECT * FROM marts.check_result WHERE run_id = ? "
                "ORDER BY passed, array_position(['blocks', 'counts', 'advises'], severity), failed_rows DESC, table_name, check_name",
                snapshot.run_id,
            ),
        )

    def score_systems(self, snapshot: Snapshot) -> list[str]:
        """Codes of the indicator systems that have scores."""
        return [row["code"] for row in self.store.rows(snapshot, "SELECT DISTINCT system_code AS code FROM marts.score_department_month ORDER BY code")]

    def score_months(self, snapshot: Snapshot, system_code: str) -> list[date]:
        """Months in which a department has a score, newest first."""
        sql = "SELECT DISTINCT month FROM marts.score_department_month WHERE system_code = ? AND score IS NOT NULL ORDER BY month DESC"
        return [row["month"] for row in self.store.rows(snapshot, sql, system_code)]

    def scores(self, snapshot: Snapshot, system_code: str, month: date) -> list[Row]:
        """The departments of a month, best first, with ``change`` against the month before; without score last."""
        return self.store.rows(
            snapshot,
            "SELECT s.*, s.score - p.score AS change FROM marts.score_department_month AS s LEFT JOIN marts.score_department_month AS p "
            "ON p.system_code = s.system_code AND p.department_code = s.department_code AND p.month = (s.month - INTERVAL 1 MONTH)::DATE "
            "WHERE s.system_code = ? AND s.month = ? ORDER BY s.rank NULLS LAST, s.department_name, s.department_code",
            system_code, month,
        )

    def score_trend(self, snapshot: Snapshot, system_code: str, department_code: str, month: date, months: int = 12) -> list[Row]:
        """The months up to ``month``, oldest first: score of the department and ``average`` of all departments."""
        return self.store.rows(
            snapshot,
            "SELECT month, any_value(score) FILTER (department_code = ?) AS score, avg(score) AS average FROM marts.score_department_month "
            "WHERE system_code = ? AND month <= ? AND month > (?::DATE - to_months(?))::DATE GROUP BY month ORDER BY month",
            department_code, system_code, month, month, months,
        )


def _matching(search: MatterSearch) -> tuple[list[str], list[Any]]:
    conditions, values = [_PUBLIC], list[Any]()
    for word in search.words:
        conditions.append("contains(lower(m.matter_name), lower(?))")
        values.append(word)
    for column in ("department_code", "type_code", "is_online"):
        value = getattr(search, column)
        if value is not None:
            conditions.append(f"m.{column} = ?")
            values.append(value)
    return conditions, values
