"""The door to suspicious records: what no rule says of a record or department, and yet sets it apart from its like.

Kept apart from violations, and counted in no score: a suspicion is a reason to look, no finding.
"""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa

from models.domain.progress import NoProgress, Progress
from quality.opening import opened
from quality.profile.tables import open_tables, write_suspicions
from quality.suspicion.cases import DAYS, Cases, cases_of
from quality.suspicion.groups import oddities
from quality.suspicion.measures import Floats, score
from quality.suspicion.texts import against_level

__all__ = ["DAYS", "KINDS", "MOST", "suspect"]

STAGE = "查找可疑记录"
KINDS = {
    "duration": "办理时长", "steps": "环节集中补写", "volume": "业务量", "levels": "评价等级", "channel": "申报渠道", "staff": "经办人", "text": "评价文字与等级", "pattern": "多项异常",
}  # fmt: skip
"""Kind of suspicion → its Chinese name."""
MOST = 200
"""Suspicions of one kind that are kept, the oddest first."""
ONE_IN = 50
"""Cases of which one at most is called odd altogether: the oddest are always some."""
FAR = 5.0
"""Robust standard deviations from which on a duration is suspicious."""
_SAID = 3
_FEATURE_LEAST = 2.0


def suspect(
    masked: Path, run_id: str, as_of: datetime, *, zone: str = "Asia/Shanghai", memory: str = "1GB", texts: pa.Table | None = None, progress: Progress | None = None,
) -> dict[str, int]:  # fmt: skip
    """Looks for suspicious records of the year up to the run's day and keeps them in ``marts.quality_suspicion``, in place of those before.

    Args:
        masked: DuckDB file of the masked marts; nothing else may have it open meanwhile.
        run_id: Run in hand.
        as_of: Instant on which the run stands.
        zone: Zone in which instants become days.
        memory: What the database may take.
        texts: Reviews whose text is there, as :func:`quality.suspicion.texts.against_level` takes them; the marts do not have the texts.
        progress: Receiver of progress.

    Returns:
        How many of each kind.
    """
    progress = progress or NoProgress()
    progress.start(STAGE)
    today = as_of.astimezone(ZoneInfo(zone)).date()
    with opened(masked, zone, memory) as connection:
        open_tables(connection)
        found: list[dict[str, Any]] = []
        if _has(connection, "fct_case", "fct_case_event"):
            found += _records(cases_of(connection, today))
        if _has(connection, "fct_case", "fct_case_event", "fct_review"):
            found += [
                {"kind": one.kind, "table_name": one.table, "source": None, "record_key": one.key, "department_code": one.department, "partition_on": one.day, "score": one.score, "reason": one.reason}
                for one in oddities(connection, today)
            ]  # fmt: skip
        found += against_level(texts) if texts is not None else []
        kept = _ranked(found)
        _note_rules(connection, kept)
        write_suspicions(connection, [{"run_id": run_id, "detected_at": as_of, **row} for row in kept])
    counts = Counter(row["kind"] for row in kept)
    progress.finish(STAGE, f"{len(kept):,} 条")
    return dict(sorted(counts.items()))


def _records(cases: Cases) -> list[dict[str, Any]]:
    if not len(cases):
        return []
    total = np.sqrt((cases.matrix**2).sum(axis=1))
    rest = cases.rows.select(["source", "case_number", "department_code", "received_on"])
    time = {feature.name: feature for feature in cases.features}["time"]
    found = []
    for at in _oddest(np.abs(cases.time), MOST, FAR):
        found.append(_of_case(rest, "duration", at, float(score(cases.time[at : at + 1])[0]), time.said(at)))
    for at in _oddest(total, min(MOST, len(cases) // ONE_IN), 0):
        order = np.argsort(-cases.matrix[at], kind="stable")[:_SAID]
        said = [cases.features[one].said(at) for one in order if cases.matrix[at, one] >= _FEATURE_LEAST]
        if len(said) > 1:  # one thing alone is told by its own kind, or is just rare
            found.append(_of_case(rest, "pattern", at, float(total[at] / (total[at] + 10)), "；".join(said)))
    return found


def _of_case(rows: pa.Table, kind: str, at: int, how_odd: float, reason: str) -> dict[str, Any]:
    row = {name: rows[name][at].as_py() for name in rows.column_names}
    return {
        "kind": kind, "table_name": "fct_case", "source": row["source"], "record_key": row["case_number"], "department_code": row["department_code"],
        "partition_on": row["received_on"], "score": how_odd, "reason": reason,
    }  # fmt: skip


def _oddest(size: Floats, most: int, least: float) -> list[int]:
    order = np.argsort(-size, kind="stable")[:most]
    return [int(at) for at in order if size[at] >= least]


def _ranked(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for kind in KINDS:
        own = sorted((row for row in found if row["kind"] == kind), key=lambda row: (-row["score"], row["source"] or "", row["record_key"], row["department_code"] or ""))
        kept += [row | {"rank": rank, "score": round(row["score"], 4)} for rank, row in enumerate(own[:MOST], start=1)]
    return kept


def _note_rules(connection: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]) -> None:
    """Says of each record whether a rule found something of it, or of a step of it."""
    known: set[tuple[Any, Any, Any]] = set()
    if _has(connection, "quality_violation"):
        query = """SELECT DISTINCT CASE table_name WHEN 'fct_case_event' THEN 'fct_case' ELSE table_name END, source,
            CASE table_name WHEN 'fct_case_event' THEN regexp_replace(record_key, '/[^/]*$', '') ELSE record_key END
            FROM marts.quality_violation WHERE healed_at IS NULL AND severity IN ('blocks', 'counts')"""
        known = set(connection.execute(query).fetchall())
    for row in rows:
        row["breaks_rule"] = None if row["source"] is None else (row["table_name"], row["source"], row["record_key"]) in known


def _has(connection: duckdb.DuckDBPyConnection, *tables: str) -> bool:
    query = "SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = 'marts' AND list_contains($1, table_name)"
    return bool(connection.execute(query, [list(tables)]).fetchall()[0][0] == len(tables))
