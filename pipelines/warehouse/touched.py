"""Which partitions (day × department) of the marts a run wrote anew."""

# ruff: noqa: S608 - names are constants

from dataclasses import dataclass
from datetime import date

from models.domain.settings import Settings
from pipelines.sources.service import RunRef
from pipelines.warehouse.books import warehouse

_REWRITTEN = {
    # rows of the case's day of receipt; a row that left for another partition shows in mart_department_day
    "fct_case": "SELECT received_on AS day, department_code, count(*) AS row_count FROM masked.marts.fct_case WHERE _run_seq = $seq GROUP BY ALL",
    "mart_department_day": """
        SELECT t.date AS day, t.department_code, count(m.measure_code) AS row_count
        FROM intermediate.int_department_day_touched AS t
        LEFT JOIN masked.marts.mart_department_day AS m ON t.date = m.date AND t.department_code = m.department_code
        GROUP BY ALL
    """,
}
"""Mart → its partitions that the run in hand wrote anew."""


@dataclass(frozen=True)
class Touched:
    """What a run wrote anew of a mart.

    Attributes:
        partitions: Number of partitions (day × department); None where it wrote the whole mart.
        rows: Rows in them; of ``fct_case`` the rows written.
        first_day: The earliest day among them.
        last_day: The latest.
    """

    partitions: int | None
    rows: int
    first_day: date | None
    last_day: date | None

    def metadata(self) -> dict[str, str | int]:
        """As Dagster shows it."""
        days = {"first_day": str(self.first_day), "last_day": str(self.last_day)} if self.first_day else {}
        return {"rewritten_partitions": "all" if self.partitions is None else self.partitions, "rewritten_rows": self.rows} | days


def note_touched(settings: Settings, run: RunRef) -> dict[str, Touched]:
    """Writes down in ``ops.touched_partition`` which partitions the run rewrote; mart → what it was.

    A mart written as a whole has one row, without day and department. To be called when the warehouse is built.
    """
    found = {}
    with warehouse(settings) as connection:
        connection.begin()
        connection.execute("DELETE FROM ops.touched_partition WHERE run_seq = ?", [run.run_seq])
        for mart, query in _REWRITTEN.items():
            parameters = {"seq": run.run_seq} if "$seq" in query else None
            connection.execute(f"CREATE OR REPLACE TEMP TABLE _touched AS {query}", parameters)
            row = connection.execute(
                f"SELECT count(*), coalesce(sum(row_count), 0)::BIGINT, min(day), max(day), (SELECT count(*) FROM masked.marts.{mart}) FROM _touched"
            ).fetchone()
            assert row is not None  # noqa: S101 - an aggregate gives a row
            is_whole = row[1] == row[4] and row[4] > 0
            found[mart] = Touched(None if is_whole else row[0], *row[1:4])
            columns = f"NULL, NULL, {row[1]}" if is_whole else "day, department_code, row_count"
            connection.execute(f"INSERT INTO ops.touched_partition SELECT {run.run_seq}, '{mart}', {columns} FROM _touched {'LIMIT 1' if is_whole else ''}")
        connection.commit()
    return found
