"""Departments, days, channels and people that stand out among their like, from counts that the database makes."""

# ruff: noqa: S608 - constants

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb
import numpy as np

from quality.suspicion.cases import DAYS
from quality.suspicion.measures import Floats, rate_distance, score

FAR = 4.0
"""Robust standard deviations from which on a group stands out."""
LEAST_ROWS, LEAST_GROUPS = 10, 8
"""Rows of a group, and groups, from which on rates are compared."""
AROUND = 28
"""Days before and after by which the volume of a day is judged."""
RECENT = 60
"""Days whose channels are compared with those before."""
_SHIFT = 0.1
_MINUTE = """SELECT e.source, e.case_number, count(*) >= 3 AND max(e.occurred_at) - min(e.occurred_at) < INTERVAL 1 MINUTE AS at_once
    FROM marts.fct_case_event AS e WHERE e.occurred_on BETWEEN $since AND $today GROUP BY ALL"""


@dataclass(frozen=True)
class Oddity:
    """A group, or a day of one, that stands out.

    Attributes:
        kind: As in ``marts.quality_suspicion``.
        table: Mart whose rows were counted.
        key: What of the department stands out.
        department: The department.
        day: The day; None where it is the whole year.
        score: How odd, 0 to 1.
        reason: Chinese sentence with the figures.
    """

    kind: str
    table: str
    key: str
    department: str | None
    day: date | None
    score: float
    reason: str


def oddities(connection: duckdb.DuckDBPyConnection, today: date) -> Iterator[Oddity]:
    """Everything that stands out.

    Args:
        connection: Has the marts.
        today: The run's day.
    """
    yield from _volumes(connection, today)
    yield from _channels(connection, today)
    year = {"since": today - timedelta(days=DAYS - 1), "today": today}
    for kind, table, key, what, query in _RATES:
        rows = connection.execute(query, year if "$since" in query else {}).fetchall()
        groups = [row for row in rows if row[2] >= LEAST_ROWS]
        if len(groups) < LEAST_GROUPS:
            continue
        hits, size = (np.array([row[at] for row in groups], dtype=np.float64) for at in (3, 2))
        z, usual = rate_distance(hits, size)
        for at in np.flatnonzero(np.abs(z) >= FAR):
            department, who = groups[at][:2]
            reason = what.format(who=who or "", hits=int(hits[at]), rows=int(size[at]), share=hits[at] / size[at], usual=usual)
            yield Oddity(kind, table, key.format(who=who or ""), department, None, float(score(z[at : at + 1])[0]), reason)


_BY_HANDLER = f"""SELECT e.department_code, e.actor_masked, count(*), count(*) FILTER ({{hit}}) FROM marts.fct_case_event AS e
    JOIN ({_MINUTE}) AS m USING (source, case_number)
    WHERE e.activity_code = 'completed' AND e.actor_masked IS NOT NULL AND e.occurred_on BETWEEN $since AND $today GROUP BY ALL ORDER BY ALL"""
_RATES: list[tuple[str, str, str, str, str]] = [
    (
        "steps", "fct_case", "at_once", "本部门一年 {rows:,} 件中 {hits:,} 件（{share:.1%}）全部环节写在一分钟之内，各部门一般 {usual:.1%}",
        f"SELECT c.department_code, NULL, count(*), count(*) FILTER (at_once) FROM marts.fct_case AS c JOIN ({_MINUTE}) USING (source, case_number) WHERE c.received_on BETWEEN $since AND $today GROUP BY ALL ORDER BY ALL",
    ),
    (
        "staff", "fct_case_event", "handler={who},at_once", "经办人“{who}”（脱敏姓名，可能不止一人）办结 {rows:,} 件，其中 {hits:,} 件（{share:.1%}）全部环节写在一分钟之内，一般 {usual:.1%}",
        _BY_HANDLER.format(hit="m.at_once"),
    ),
    (
        "staff", "fct_case_event", "handler={who},at_night", "经办人“{who}”（脱敏姓名，可能不止一人）办结 {rows:,} 件，其中 {hits:,} 件（{share:.1%}）在夜间（21 时至次日 7 时），一般 {usual:.1%}",
        _BY_HANDLER.format(hit="hour(e.occurred_at) >= 21 OR hour(e.occurred_at) < 7"),
    ),
    (
        "levels", "fct_review", "unsatisfied", "主动评价 {rows:,} 条中 {hits:,} 条（{share:.1%}）在“基本满意”及以下，各部门一般 {usual:.1%}",
        "SELECT department_code, NULL, count(*), count(*) FILTER (satisfaction_code >= '3') FROM marts.fct_review WHERE NOT is_default AND satisfaction_code IN ('1', '2', '3', '4', '5') AND reviewed_on BETWEEN $since AND $today GROUP BY ALL ORDER BY ALL",
    ),
    (
        "levels", "fct_review", "default", "评价 {rows:,} 条中 {hits:,} 条（{share:.1%}）是默认评价，各部门一般 {usual:.1%}",
        "SELECT department_code, NULL, count(*), count(*) FILTER (is_default) FROM marts.fct_review WHERE reviewed_on BETWEEN $since AND $today GROUP BY ALL ORDER BY ALL",
    ),
]  # fmt: skip
"""Kind, mart, key, sentence, and a query of department, who, rows, rows that are so."""


def _volumes(connection: duckdb.DuckDBPyConnection, today: date) -> Iterator[Oddity]:
    """Days on which a department has far more or fewer cases than its days around let expect, the city's day being as it is."""
    rows = connection.execute(
        """SELECT department_code, date_diff('day', $since::DATE, received_on) AS day, count(*) FROM marts.fct_case
        WHERE department_code IS NOT NULL AND received_on BETWEEN $since AND $today GROUP BY ALL ORDER BY ALL""",
        {"since": today - timedelta(days=DAYS - 1), "today": today},
    ).fetchall()
    codes = sorted({row[0] for row in rows})
    if len(codes) < 2:  # the city without its only department is nothing to compare with
        return
    number = {code: at for at, code in enumerate(codes)}
    count = np.zeros((len(codes), DAYS))
    count[[number[row[0]] for row in rows], [row[1] for row in rows]] = [row[2] for row in rows]
    # the city without the department: its own flood must not excuse itself
    rest = count.sum(0) - count
    own, others = _around(count) - count, _around(rest) - rest
    expected = np.divide(rest * own, others, out=np.zeros_like(count), where=others > 0)
    z = 2 * (np.sqrt(count + 0.375) - np.sqrt(expected + 0.375))
    spread = 1.4826 * np.median(np.abs(z - np.median(z, axis=1, keepdims=True)), axis=1, keepdims=True)
    z /= np.maximum(spread, 1)
    for at, day in np.argwhere((np.abs(z) >= FAR) & (others > 0)):
        on = today - timedelta(days=DAYS - 1 - int(day))
        reason = f"{on} 收件 {count[at, day]:,.0f} 件，按前后 {AROUND} 日和全市当日的情况应为 {expected[at, day]:,.1f} 件左右"
        yield Oddity("volume", "fct_case", str(on), codes[at], on, float(score(z[at, day : day + 1])[0]), reason)


def _around(count: Floats) -> Floats:
    """Sum over the days around each day, with it."""
    total = np.cumsum(np.pad(count, ((0, 0), (AROUND + 1, AROUND))), axis=1)
    return np.asarray(total[:, 2 * AROUND + 1 :] - total[:, : -2 * AROUND - 1], dtype=np.float64)


def _channels(connection: duckdb.DuckDBPyConnection, today: date) -> Iterator[Oddity]:
    """Channels whose share of a department's cases is another than it was."""
    split = today - timedelta(days=RECENT)
    query = """WITH counted AS (
            SELECT department_code, channel_code, count(*) FILTER (received_on > $split) AS now, count(*) FILTER (received_on <= $split) AS before FROM marts.fct_case
            WHERE department_code IS NOT NULL AND channel_code IS NOT NULL AND received_on BETWEEN $since AND $today GROUP BY ALL)
        SELECT *, sum(now) OVER own, sum(before) OVER own FROM counted WINDOW own AS (PARTITION BY department_code) ORDER BY 1, 2"""
    rows: list[Any] = connection.execute(query, {"since": today - timedelta(days=DAYS - 1), "today": today, "split": split}).fetchall()
    for department, channel, now, before, all_now, all_before in rows:
        if min(all_now, all_before) < LEAST_ROWS:
            continue
        share, share_before = float(now / all_now), float(before / all_before)
        z = 2 * (np.arcsin(np.sqrt(share)) - np.arcsin(np.sqrt(share_before))) / np.sqrt(1 / int(all_now) + 1 / int(all_before))
        if abs(z) >= FAR and abs(share - share_before) >= _SHIFT:
            reason = f"近 {RECENT} 日申报来源 {channel} 占收件的 {share:.1%}（{now:,} / {all_now:,}），此前 {share_before:.1%}"
            yield Oddity("channel", "fct_case", f"channel={channel}", department, None, float(score(np.array([z]))[0]), reason)
