"""The door to profiles: what every column of the published marts holds, and whether it changed since last month."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from models.domain.errors import YiwangError
from models.domain.progress import NoProgress, Progress
from quality.catalogue.subjects import TABLES
from quality.opening import opened
from quality.profile.columns import DAYS, Field, distributions, fields, profile_columns, recent
from quality.profile.distributions import Distribution, Drift, drift
from quality.profile.tables import COLUMNS, PROFILE, earlier_profile, is_bookkeeping, open_tables, write_profile

__all__ = ["COLUMNS", "PROFILE", "Profiled", "profile", "profiled_tables", "profiles_of"]

STAGE = "数据画像"
_LAST_MONTH, _DAYS_BEFORE = "上月", f"前 {DAYS} 日"


@dataclass(frozen=True)
class Profiled:
    """What :func:`profile` wrote.

    Attributes:
        tables: Marts.
        columns: Their columns.
        drifted: Columns that changed.
    """

    tables: int
    columns: int
    drifted: int


def profile(
    masked: Path, run_id: str, as_of: datetime, *, zone: str = "Asia/Shanghai", memory: str = "1GB", previous: Path | None = None, every: int = 0,
    progress: Progress | None = None,
) -> Profiled | None:  # fmt: skip
    """Profiles every column of every mart that tells of the city, and compares it with last month; keeps both in ``marts.quality_profile``.

    Args:
        masked: DuckDB file of the masked marts; nothing else may have it open meanwhile.
        run_id: Run in hand.
        as_of: Instant on which the run stands.
        zone: Zone in which instants become days.
        memory: What the database may take.
        previous: Published snapshot from which earlier months are taken when the marts have none.
        every: Days for which the profile of this month is good, unless marts or columns have come or gone since.
        progress: Receiver of progress, one step a mart; stage :data:`STAGE`.

    Returns:
        What was written; None where the last profile is good still.
    """
    progress = progress or NoProgress()
    today = as_of.astimezone(ZoneInfo(zone)).date()
    month = today.replace(day=1)
    with opened(masked, zone, memory) as connection:
        open_tables(connection, previous)
        earlier = {key: Distribution.from_json(text) for key, text in earlier_profile(connection, month).items()}
        known = {table: columns for table, columns in fields(connection).items() if not is_bookkeeping(table)}
        if _is_good(connection, {(field.table, field.name) for columns in known.values() for field in columns}, as_of, month, every):
            return None
        progress.start(STAGE, len(known))
        rows: list[dict[str, Any]] = []
        for table, columns in known.items():
            rows += profiles_of(connection, table, columns, today, earlier)
            progress.advance(STAGE)
        write_profile(connection, month, [{"month": month, "run_id": run_id, "profiled_at": as_of, **row} for row in rows])
    found = Profiled(len(known), len(rows), sum(bool(row["is_drifted"]) for row in rows))
    progress.finish(STAGE, f"{found.columns:,} 列，{found.drifted:,} 列与上月不同")
    return found


def _is_good(connection: duckdb.DuckDBPyConnection, columns: set[tuple[str, str]], as_of: datetime, month: date, every: int) -> bool:
    query = f"SELECT table_name, column_name FROM marts.{PROFILE} WHERE month = $1 AND profiled_at <= $2 AND profiled_at > $2 - to_days($3)"  # noqa: S608 - constant
    return set(connection.execute(query, [month, as_of, every]).fetchall()) == columns


def profiles_of(
    connection: duckdb.DuckDBPyConnection, table: str, columns: list[Field] | None = None, today: date | None = None, earlier: dict[tuple[str, str], Distribution] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Profiles one mart.

    Args:
        connection: Has the marts, and may make temporary tables.
        table: The mart.
        columns: Its columns, where the caller knows them.
        today: The last day of the month that is compared; without it nothing is.
        earlier: Mart and column → distribution of last month, where it is known.

    Raises:
        YiwangError: YW-QUALITY-006 where there is no such mart.
    """
    if columns is None:
        columns = _fields_of(connection, table)
    rows, look = profile_columns(connection, table, columns)
    if today is None:
        return rows
    day = TABLES[table].day if table in TABLES else None
    now = recent(connection, table, columns, today, day) if day else distributions(connection, columns, look)
    remembered = {column.name: found for column in columns if (found := (earlier or {}).get((table, column.name)))}
    # what is asked of the rows themselves: they may have been completed since, so that a profile of the time is better
    before = recent(connection, table, columns, today - timedelta(days=DAYS), day) if day and not remembered else {}
    for row in rows:
        name = row["column_name"]
        basis = "month" if name in remembered else "rows" if name in before else None
        earlier_one = remembered.get(name) or before.get(name)
        changed = drift(now[name], earlier_one, _LAST_MONTH if name in remembered else _DAYS_BEFORE) if earlier_one else None
        row |= {"recent": now[name].to_json(), **_drifted(changed, basis)}
    return rows


def profiled_tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The marts that are profiled."""
    return [table for table in fields(connection) if not is_bookkeeping(table)]


def _fields_of(connection: duckdb.DuckDBPyConnection, table: str) -> list[Field]:
    known = fields(connection)
    if table not in known or is_bookkeeping(table):
        raise YiwangError("YW-QUALITY-006", table=table, known="、".join(profiled_tables(connection)) or "（无）")
    return known[table]


def _drifted(found: Drift | None, basis: str | None) -> dict[str, Any]:
    if found is None:
        return dict.fromkeys(("drift_measure", "drift", "null_share_change", "drift_basis", "is_drifted", "drift_reason"))
    return {
        "drift_measure": found.measure, "drift": found.value, "null_share_change": found.nulls, "drift_basis": basis,
        "is_drifted": bool(found.reasons), "drift_reason": "；".join(found.reasons) or None,
    }  # fmt: skip
