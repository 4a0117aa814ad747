"""What was known of a case on a day: the rows that the forecast learns from and those that it is asked about.

A *landmark* is the end of a day on which a case was open and not yet late (van Houwelingen, Dynamic prediction by landmarking,
Scand. J. Statist. 34, 2007). Everything in a row was known on that day, with one exception that is said in docs/forecast.md:
a past case's due day is known as the clock left it, from which its later pauses and extension are taken back.
What does not belong here: what is learned from them.
"""

from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from models.domain.calendar import WorkCalendar

POINTS = 4
"""Landmarks of a past case: at its start and after each quarter of its time."""
RECENT_DAYS = 30
"""Days over which a department's completions are counted, to set its open cases against."""

_SQL = """
WITH ends AS (
    SELECT source, case_number, matter_code, coalesce(department_code, '?') AS department_code, channel_code, type_code, case_kind_code, applicant_id_type_code,
        coalesce(accepted_on, received_on) AS start_on, due_on, CASE WHEN is_completed THEN completed_on END AS end_on, is_late,
        CASE WHEN due_basis = 'source' THEN 0 ELSE coalesce(paused_days, 0) + coalesce(extension_days, 0) END AS moved_days
    FROM marts.fct_case
    WHERE due_on IS NOT NULL AND coalesce(accepted_on, received_on) IS NOT NULL
),
timed AS (
    SELECT e.*, s.number AS start_number, d.number - e.moved_days AS due_number, d.number AS last_number
    FROM ends AS e
    JOIN calendar AS s ON s.day = e.start_on
    JOIN calendar AS d ON d.day = e.due_on
    WHERE e.start_on <= e.due_on AND (e.end_on IS NULL OR e.end_on >= e.start_on)
),
numbered AS (SELECT number, min(day) AS day FROM calendar GROUP BY number),
points AS (
    SELECT DISTINCT t.source, t.case_number, n.day AS landmark_on, false AS is_open
    FROM timed AS t
    CROSS JOIN range($points) AS p(part)
    JOIN numbered AS n ON n.number = t.start_number + (t.last_number - t.start_number) * p.part // $points
    WHERE t.due_on <= $today AND n.day >= t.start_on AND n.day < t.due_on AND (t.end_on IS NULL OR t.end_on > n.day)
        AND hash(t.source, t.case_number) % $share_of = 0
    UNION ALL
    SELECT source, case_number, $today, true FROM timed WHERE end_on IS NULL AND start_on <= $today AND due_on > $today
),
known AS (
    SELECT p.*, t.* EXCLUDE (source, case_number), c.number AS today_number
    FROM points AS p
    JOIN timed AS t USING (source, case_number)
    JOIN calendar AS c ON c.day = p.landmark_on
),
steps AS (
    SELECT source, case_number, occurred_on, sequence, coalesce(activity_code, activity) AS activity_code,
        row_number() OVER life AS steps, count(*) FILTER (activity_code = 'correction_asked') OVER life AS corrections,
        count(*) FILTER (activity_code = 'suspended') OVER life AS pauses, count(*) FILTER (activity_code = 'resumed') OVER life AS resumed,
        sum(CASE WHEN activity_code = 'extended' THEN coalesce(extension_days, 0) ELSE 0 END) OVER life AS extended_days
    FROM marts.fct_case_event AS e
    SEMI JOIN points AS p ON p.source = e.source AND p.case_number = e.case_number
    WHERE occurred_on IS NOT NULL
    WINDOW life AS (PARTITION BY source, case_number ORDER BY occurred_on, occurred_at, sequence ROWS UNBOUNDED PRECEDING)
),
newest AS (
    SELECT k.source, k.case_number, k.landmark_on, arg_max(s, s.steps) AS step
    FROM known AS k JOIN steps AS s ON s.source = k.source AND s.case_number = k.case_number AND s.occurred_on <= k.landmark_on
    GROUP BY ALL
),
stops AS (
    SELECT source, case_number, occurred_on AS from_on,
        lead(occurred_on) OVER (PARTITION BY source, case_number ORDER BY occurred_on, sequence) AS until_on, activity_code
    FROM steps WHERE activity_code IN ('suspended', 'resumed')
),
stopped AS (
    SELECT k.source, k.case_number, k.landmark_on, sum(greatest(0, least(coalesce(u.number, k.today_number + 1) - 1, k.today_number) - f.number)) AS stopped_days
    FROM known AS k
    JOIN stops AS s ON s.source = k.source AND s.case_number = k.case_number AND s.activity_code = 'suspended' AND s.from_on <= k.landmark_on
    JOIN calendar AS f ON f.day = s.from_on
    LEFT JOIN calendar AS u ON u.day = s.until_on
    GROUP BY ALL
),
matter_days AS (
    SELECT matter_code, due_on, sum(sum(is_late::INTEGER)) OVER so_far AS late, sum(count(is_late)) OVER so_far AS cases,
        sum(sum(greatest(0, least(coalesce(x.number, t.last_number + 1), t.last_number + 1) - t.start_number) / greatest(1, t.last_number - t.start_number))) OVER so_far AS used
    FROM timed AS t LEFT JOIN calendar AS x ON x.day = t.end_on
    WHERE is_late IS NOT NULL AND due_on <= $today
    GROUP BY matter_code, due_on
    WINDOW so_far AS (PARTITION BY matter_code ORDER BY due_on)
),
department_days AS (
    SELECT department_code, due_on, sum(sum(is_late::INTEGER)) OVER so_far AS late, sum(count(is_late)) OVER so_far AS cases
    FROM timed WHERE is_late IS NOT NULL AND due_on <= $today
    GROUP BY department_code, due_on
    WINDOW so_far AS (PARTITION BY department_code ORDER BY due_on)
),
moves AS (
    SELECT department_code, day, sum(sum(began) - sum(ended)) OVER so_far AS open, sum(sum(ended)) OVER recent AS recent
    FROM (
        SELECT department_code, start_on AS day, 1 AS began, 0 AS ended FROM timed WHERE start_on <= $today
        UNION ALL SELECT department_code, end_on, 0, 1 FROM timed WHERE end_on <= $today
    )
    GROUP BY department_code, day
    WINDOW so_far AS (PARTITION BY department_code ORDER BY day),
        recent AS (PARTITION BY department_code ORDER BY day RANGE BETWEEN to_days($recent::INTEGER) PRECEDING AND CURRENT ROW)
)
SELECT k.source, k.case_number, k.matter_code, k.department_code, k.landmark_on, k.due_on, k.is_open, CASE WHEN NOT k.is_open THEN k.is_late END AS is_late,
    (k.due_number + coalesce(z.stopped_days, 0) + coalesce(w.step.extended_days, 0) - k.today_number)::INTEGER AS days_left,
    (k.today_number - k.start_number - coalesce(z.stopped_days, 0))::INTEGER AS days_used,
    k.due_number - k.start_number AS days_allowed,
    date_diff('day', k.landmark_on, k.due_on) - (k.last_number - k.today_number) AS rest_days_ahead,
    coalesce(w.step.steps, 0) AS steps, coalesce(w.step.corrections, 0) AS corrections,
    coalesce(w.step.pauses, 0) > coalesce(w.step.resumed, 0) AS is_paused,
    k.today_number - coalesce(l.number, k.start_number) AS days_silent,
    w.step.activity_code AS last_activity, k.channel_code, k.type_code, k.case_kind_code, k.applicant_id_type_code,
    coalesce(m.late, 0)::INTEGER AS matter_late, coalesce(m.cases, 0)::INTEGER AS matter_cases, round(m.used / m.cases, 6) AS matter_used,
    coalesce(d.late, 0)::INTEGER AS department_late, coalesce(d.cases, 0)::INTEGER AS department_cases,
    coalesce(v.open, 0)::INTEGER AS department_open, coalesce(v.open, 0) / (coalesce(v.recent, 0) + 1) AS department_load
FROM known AS k
LEFT JOIN newest AS w USING (source, case_number, landmark_on)
LEFT JOIN stopped AS z USING (source, case_number, landmark_on)
LEFT JOIN calendar AS l ON l.day = w.step.occurred_on
ASOF LEFT JOIN matter_days AS m ON m.matter_code = k.matter_code AND k.landmark_on > m.due_on
ASOF LEFT JOIN department_days AS d ON d.department_code = k.department_code AND k.landmark_on > d.due_on
ASOF LEFT JOIN moves AS v ON v.department_code = k.department_code AND k.landmark_on >= v.day
ORDER BY k.landmark_on, k.source, k.case_number
"""


def landmarks(masked: Path, today: date, calendar: WorkCalendar, most_cases: int = 100_000) -> pa.Table:
    """Reads the landmarks of past and of open cases.

    Args:
        masked: DuckDB file of the masked marts.
        today: The day of ``as_of``; nothing later is looked at.
        calendar: Counts working days; must cover the days of the cases.
        most_cases: About how many past cases with a deadline are read; of more a sample is taken by the hash of their keys, the same in each run.

    Returns:
        One row a case and day, ordered by day: ``source``, ``case_number``, ``matter_code``, ``department_code``, ``landmark_on``, ``due_on``; ``is_open`` for
        a case that is open today; ``is_late``, what became of it (null for open ones); in working days ``days_left`` until the due day, ``days_used`` of
        ``days_allowed``, ``rest_days_ahead``, ``days_silent`` since the last step; ``steps``, ``corrections``, ``is_paused``, ``last_activity``; codes of
        channel, type, kind and applicant; what was known of matter and department by then: ``matter_late`` of ``matter_cases``, ``matter_used`` (mean share
        of the time allowed, late ones as one day more), ``department_late`` of ``department_cases``, ``department_open`` cases and ``department_load`` (open ÷ completed in 30 days).
    """
    with duckdb.connect(str(masked), read_only=True) as connection:
        connection.register("calendar", _numbers(calendar, today))
        cases = connection.execute("SELECT count(*) FROM marts.fct_case WHERE due_on <= $today", {"today": today}).fetchall()[0][0]
        values = {"points": POINTS, "recent": RECENT_DAYS, "today": today, "share_of": max(1, -(-cases // most_cases))}
        return connection.sql(_SQL, params=values).to_arrow_table()


def _numbers(calendar: WorkCalendar, today: date) -> pa.Table:
    last = min(calendar.last_day, today + timedelta(days=3660))
    days = [calendar.published_from + timedelta(offset) for offset in range((last - calendar.published_from).days + 1)]
    return pa.table({"day": pa.array(days, pa.date32()), "number": pa.array([calendar.number(day) for day in days], pa.int32())})
