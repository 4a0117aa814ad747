"""The published marts for analysts: data frames by documented functions, from a notebook or any Python.

Everything reads the one snapshot that was opened, masked and read-only, so that all figures of a notebook belong
together. What does not belong here: pictures (:mod:`models.reporting.plots`), and what the API serves.
"""

# ruff: noqa: S608 - names enter statements only after a look into the snapshot's own catalogue; values are bound

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from models.domain.errors import YiwangError
from models.domain.settings import Settings, get_settings
from models.store.snapshots import Snapshot, SnapshotStore
from models.store.sql import query


@dataclass(frozen=True)
class Marts:
    """One published snapshot, for analysis.

    Attributes:
        settings: Home, zone, memory.
        snapshot: The snapshot that is read.
    """

    settings: Settings
    snapshot: Snapshot

    @property
    def as_of(self) -> datetime:
        """The instant of which all figures speak."""
        return self.snapshot.as_of

    def sql(self, statement: str, **parameters: Any) -> pd.DataFrame:
        """The rows of one read-only statement: instants in the platform's zone, days as ``datetime64``, sums as numbers.

        Args:
            statement: One ``SELECT`` over ``marts.<table>``; ``$name`` stands for a parameter.
            parameters: Values of the parameters.

        Raises:
            YiwangError: YW-STORE-002 with the reason when the statement is refused or fails.
        """
        table = query(self.settings, statement, self.snapshot, parameters).read_all()
        # DuckDB's sums are HUGEINT, which pandas would take for objects.
        fields = [pa.field(f.name, pa.int64() if f.type.scale == 0 else pa.float64()) if pa.types.is_decimal(f.type) else f for f in table.schema]
        frame: pd.DataFrame = table.cast(pa.schema(fields)).to_pandas(date_as_object=False)
        for column in frame.columns:
            if isinstance(frame[column].dtype, pd.DatetimeTZDtype):
                frame[column] = frame[column].dt.tz_convert(self.settings.zone)
        return frame

    def tables(self) -> pd.DataFrame:
        """The tables: ``table``, ``rows`` (estimated by DuckDB, exact after publishing) and number of ``columns``."""
        return self.sql(
            "SELECT table_name AS \"table\", estimated_size AS rows, column_count AS columns FROM duckdb_tables() "
            "WHERE schema_name = 'marts' ORDER BY table_name"
        )

    def columns(self, table: str) -> list[str]:
        """The columns of a table.

        Raises:
            YiwangError: YW-STORE-002 when there is no such table.
        """
        found = self.sql(
            "SELECT column_name FROM duckdb_columns() WHERE schema_name = 'marts' AND table_name = $table ORDER BY column_index", table=table
        )
        if found.empty:
            raise YiwangError("YW-STORE-002", detail=f"没有“{table}”这张表，可用：{'、'.join(self.tables()['table'])}")
        return list(found["column_name"])

    def read(
        self, table: str, columns: Sequence[str] | None = None, *, day: str | None = None, since: date | None = None,
        until: date | None = None, **equals: Any,
    ) -> pd.DataFrame:
        """Rows of a table.

        Args:
            table: Name of a mart.
            columns: Columns wanted; all when None.
            day: Column that ``since`` and ``until`` (both included) limit.
            since: First day.
            until: Last day.
            equals: Column → the value that it must have (a list or series: one of them); None for rows without one.

        Raises:
            YiwangError: YW-STORE-002 when a table or column does not exist.
        """
        known = self.columns(table)
        wanted = list(columns) if columns else known
        used = [*wanted, *equals, *([day] if day else [])]
        if unknown := [name for name in used if name not in known]:
            raise YiwangError("YW-STORE-002", detail=f"表 {table} 没有列 {'、'.join(unknown)}")
        if (since or until) and not day:
            raise YiwangError("YW-STORE-002", detail="since、until 需要用 day 写明按哪一列")
        # A value that is missing equals itself here, unlike in SQL: the caller asks for the rows without one.
        parts = [
            f'EXISTS (SELECT 1 FROM unnest(${column}) AS _v(v) WHERE _v.v IS NOT DISTINCT FROM "{column}")' if _many(value)
            else f'"{column}" IS NOT DISTINCT FROM ${column}'
            for column, value in equals.items()
        ]  # fmt: skip
        parts += [f'"{day}" >= $_since'] if since else []
        parts += [f'"{day}" < $_until::DATE + 1'] if until else []
        parameters = {name: list(value) if _many(value) else value for name, value in equals.items()}
        parameters |= {"_since": since} if since else {}
        parameters |= {"_until": until} if until else {}
        chosen = ", ".join(f'"{column}"' for column in wanted)
        return self.sql(f"SELECT {chosen} FROM marts.{table}" + (f" WHERE {' AND '.join(parts)}" if parts else ""), **parameters)


def _many(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str)


def open_marts(home: Path | str | None = None) -> Marts:
    """The marts of the snapshot in service.

    Args:
        home: Home of the platform; when None the setting (``YIWANG_HOME``), and where that is relative and not here, as a
            notebook has its own folder, the nearest folder above that has it.

    Raises:
        YiwangError: YW-STORE-001 when nothing is published.
    """
    chosen = get_settings().home if home is None else Path(home)
    if home is None and not chosen.is_absolute():
        chosen = next((above / chosen for above in (Path.cwd(), *Path.cwd().parents) if (above / chosen / "snapshots").is_dir()), chosen)
    settings = get_settings().model_copy(update={"home": chosen})
    return Marts(settings, SnapshotStore(settings).in_service())


def measure(marts: Marts, measure_code: str, by: Sequence[str] = ("month",), since: date | None = None, until: date | None = None) -> pd.DataFrame:
    """A measure as Σ numerator / Σ denominator: never an average of ratios.

    Args:
        marts: The snapshot.
        measure_code: Code in ``marts.measures``, for example ``M07`` 按时办结率.
        by: ``month``, ``date``, ``department_code``, any of them together.
        since: First day.
        until: Last day.

    Returns:
        The columns of ``by`` (``department_name`` beside its code), ``numerator``, ``denominator`` and ``value``; ``value`` is missing
        where nothing was counted.

    Raises:
        YiwangError: YW-STORE-002 for an unknown measure or grouping.
    """
    columns = {"month": "date_trunc('month', f.date)::DATE", "date": "f.date", "department_code": "f.department_code"}
    if unknown := [name for name in by if name not in columns] or not by:
        raise YiwangError("YW-STORE-002", detail=f"不能按 {unknown or '空'} 汇总，可用：{'、'.join(columns)}")
    if measure_code not in set(marts.sql("SELECT measure_code FROM marts.measures")["measure_code"]):
        raise YiwangError("YW-STORE-002", detail=f"没有指标 {measure_code}")
    groups = ", ".join(f'{columns[name]} AS "{name}"' for name in by)
    names = "any_value(d.department_name) AS department_name, " if "department_code" in by else ""
    return marts.sql(
        f"SELECT {groups}, {names}sum(f.numerator) AS numerator, sum(f.denominator) AS denominator, "
        "sum(f.numerator) / nullif(sum(f.denominator), 0) AS value "
        "FROM marts.mart_department_day AS f LEFT JOIN marts.dim_department AS d USING (department_code) "
        "WHERE f.measure_code = $measure AND f.date >= coalesce($since, f.date) AND f.date <= coalesce($until, f.date) "
        "GROUP BY ALL ORDER BY ALL",
        measure=measure_code, since=since, until=until,
    )


def directly_follows(marts: Marts, matter_code: str | None = None) -> pd.DataFrame:
    """Which activity directly follows which within a case, and how long the step takes.

    What is dated after ``as_of`` has not happened yet. The directly-follows graph of process mining (van der Aalst, Process Mining, 2nd ed., ch. 6).

    Args:
        marts: The snapshot.
        matter_code: Only cases of this matter; all when None.

    Returns:
        ``activity``, ``next_activity``, ``times``, ``cases``, ``median_hours`` (from one to the next), ``position`` and
        ``next_position`` (mean place of the activity in its cases, 0 first to 1 last), most frequent first.
    """
    return marts.sql(
        """
        WITH steps AS (
            SELECT e.source, e.case_number, e.activity, e.occurred_at,
                lead(e.activity) OVER path AS next_activity, lead(e.occurred_at) OVER path AS next_at,
                percent_rank() OVER path AS place
            FROM marts.fct_case_event AS e
            INNER JOIN marts.fct_case AS c ON e.source = c.source AND e.case_number = c.case_number
            WHERE ($matter IS NULL OR c.matter_code = $matter) AND coalesce(e.occurred_at <= $as_of, true)
            WINDOW path AS (PARTITION BY e.source, e.case_number ORDER BY e.sequence)
        ), places AS (
            SELECT activity, avg(place) AS position FROM steps GROUP BY activity
        )
        SELECT activity, next_activity, count(*) AS times, count(DISTINCT (source, case_number)) AS cases,
            median(epoch(next_at - occurred_at)) / 3600 AS median_hours,
            any_value(f.position) AS position, any_value(t.position) AS next_position
        FROM steps INNER JOIN places AS f USING (activity) INNER JOIN places AS t ON t.activity = steps.next_activity
        WHERE next_activity IS NOT NULL
        GROUP BY activity, next_activity ORDER BY times DESC, activity, next_activity
        """,
        matter=matter_code, as_of=marts.as_of,
    )
