"""Rows by partition, and which partitions were to be expected: in SQL, over one source of one table at a time.

The rule stands in docs/catalogue.md, its parameters in ``catalogue.yml``. Nothing here reads the clock.
"""

# ruff: noqa: S608 - names come from catalogue.yml, values are bound

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import duckdb

from pipelines.catalogue.types import PartitionSpec, Rule

_QUARTER = 900
"""Seconds: offsets of zones are multiples of it, so a quarter of an hour lies on one day. Far fewer of them are put
into a zone than there are rows."""


def counted(partitions: Mapping[str, PartitionSpec], catalog: str) -> str:
    """The query that counts rows by table, source and day; ``$zone`` is bound. Rows without a day have none."""
    parts = ["SELECT ''::VARCHAR AS table_name, ''::VARCHAR AS subject, ''::VARCHAR AS source, NULL::DATE AS day, 0::BIGINT AS n WHERE false"]
    for table, spec in partitions.items():
        if spec.day:
            day, rows = f"CASE WHEN isfinite({spec.day}) THEN {spec.day} END", f"{catalog}.{table}"
            parts.append(f"SELECT '{table}' AS table_name, '{spec.subject}' AS subject, source, {day} AS day, count(*) AS n FROM {rows} GROUP BY ALL")
        else:
            quarter = f"CASE WHEN isfinite({spec.instant}) THEN floor(epoch({spec.instant}) / {_QUARTER})::BIGINT END"
            parts.append(f"""
                SELECT '{table}' AS table_name, '{spec.subject}' AS subject, source,
                    (make_timestamptz(quarter * {_QUARTER * 1_000_000}) AT TIME ZONE $zone)::DATE AS day, sum(n)::BIGINT AS n
                FROM (SELECT source, {quarter} AS quarter, count(*) AS n FROM {catalog}.{table} GROUP BY ALL) GROUP BY ALL""")
    return " UNION ALL ".join(parts)


_JUDGED = """
CREATE OR REPLACE TABLE {catalog}.marts.catalogue_partition AS
WITH counted AS ({counted}),
stand AS (
    -- the day on which the run stands, and the last day that is over by then
    SELECT ($as_of::TIMESTAMPTZ AT TIME ZONE $zone)::DATE AS last_day,
        (($as_of::TIMESTAMPTZ + INTERVAL 1 MICROSECOND) AT TIME ZONE $zone)::DATE - 1 AS last_whole_day
),
plausible AS (
    SELECT c.*, sum(n) OVER (PARTITION BY table_name, source) AS total,
        sum(n) OVER (PARTITION BY table_name, source ORDER BY day - DATE '1970-01-01' RANGE BETWEEN CURRENT ROW AND {following} FOLLOWING) AS near
    FROM counted AS c, stand WHERE day BETWEEN $earliest_day AND last_day
),
series AS (
    SELECT table_name, subject, source,
        coalesce(min(day) FILTER (near >= greatest(total * $backed_share, least(total / 100, $backed_rows))), min(day)) AS started_on,
        max(day) AS newest_on
    FROM plausible GROUP BY ALL
),
inside AS (
    SELECT p.table_name, p.source, p.day, p.n, k.is_working_day, k.wd_number
    FROM plausible AS p JOIN series AS s USING (table_name, source) LEFT JOIN calendar AS k USING (day)
    WHERE p.day >= s.started_on
),
day_gap AS (
    SELECT table_name, source, wd_number - lag(wd_number) OVER (PARTITION BY table_name, source ORDER BY day) AS gap
    FROM inside WHERE is_working_day
),
month_gap AS (
    SELECT table_name, source, datediff('month', lag(month) OVER (PARTITION BY table_name, source ORDER BY month), month) AS gap
    FROM (SELECT DISTINCT table_name, source, date_trunc('month', day)::DATE AS month FROM inside)
),
habit AS (
    SELECT s.*,
        CASE
            WHEN d.days >= $least_days AND d.share >= $usual_share_days THEN 'daily'
            WHEN m.months >= $least_months AND m.share >= $usual_share_months THEN 'monthly'
            ELSE 'irregular'
        END AS habit
    FROM series AS s
    LEFT JOIN (SELECT table_name, source, count(*) AS days, avg((gap = 1)::INTEGER) AS share FROM day_gap GROUP BY ALL) AS d USING (table_name, source)
    LEFT JOIN (SELECT table_name, source, count(*) AS months, avg((gap = 1)::INTEGER) AS share FROM month_gap GROUP BY ALL) AS m USING (table_name, source)
),
expected AS (
    SELECT h.table_name, h.subject, h.source, 'day' AS grain, k.day AS partition_on
    FROM habit AS h, stand, calendar AS k
    WHERE h.habit = 'daily' AND k.is_working_day AND k.day BETWEEN h.started_on AND last_whole_day
    UNION ALL
    SELECT h.table_name, h.subject, h.source, 'month', unnest(generate_series(date_trunc('month', started_on), last_whole_day, INTERVAL 1 MONTH))::DATE AS month
    FROM habit AS h, stand WHERE h.habit = 'monthly'
),
whole AS (
    -- a month is expected once it is over
    SELECT e.* FROM expected AS e, stand WHERE grain = 'day' OR last_day(partition_on) <= last_whole_day
),
present AS (
    SELECT c.table_name, c.subject, c.source,
        CASE WHEN h.habit = 'monthly' AND fault IS NULL THEN 'month' ELSE 'day' END AS grain,
        CASE WHEN h.habit = 'monthly' AND fault IS NULL THEN date_trunc('month', c.day)::DATE ELSE c.day END AS partition_on,
        fault, sum(c.n)::BIGINT AS n
    FROM (
        SELECT c.*,
            CASE
                WHEN c.day IS NULL THEN 'no_day'
                WHEN c.day < $earliest_day THEN 'too_early'
                WHEN c.day > last_day THEN 'after_as_of'
                WHEN c.day < h.started_on THEN 'before_start'
            END AS fault
        FROM counted AS c LEFT JOIN habit AS h USING (table_name, source), stand
    ) AS c LEFT JOIN habit AS h USING (table_name, source) GROUP BY ALL
)
SELECT table_name, source, subject, grain, partition_on, coalesce(p.n, 0) AS row_count, e.table_name IS NOT NULL AS is_expected,
    CASE WHEN p.fault IS NOT NULL THEN 'unexpected' WHEN p.table_name IS NULL THEN 'missing' ELSE 'ok' END AS verdict,
    CASE WHEN p.fault IS NOT NULL THEN p.fault WHEN p.table_name IS NULL AND grain = 'day' THEN 'no_rows_on_working_day' WHEN p.table_name IS NULL THEN 'no_rows_in_month' END AS reason
FROM present AS p FULL JOIN whole AS e USING (table_name, source, subject, grain, partition_on)
ORDER BY table_name, source, partition_on NULLS LAST, grain
"""

_SERIES = """
SELECT table_name, source, subject, min(partition_on) FILTER (verdict <> 'unexpected') AS started_on,
    CASE
        WHEN bool_or(is_expected AND grain = 'day') THEN 'daily' WHEN bool_or(is_expected) THEN 'monthly'
        WHEN bool_or(verdict <> 'unexpected') THEN 'irregular'
    END AS habit,
    count(*) FILTER (verdict = 'missing') AS missing, count(*) FILTER (verdict = 'unexpected') AS unexpected,
    count(*) FILTER (verdict = 'missing' AND partition_on > newest_on) AS missing_at_end
FROM (
    SELECT *, max(partition_on) FILTER (verdict = 'ok') OVER (PARTITION BY table_name, source) AS newest_on
    FROM {catalog}.marts.catalogue_partition
) GROUP BY table_name, source, subject
"""


def write_partitions(
    connection: duckdb.DuckDBPyConnection, partitions: Mapping[str, PartitionSpec], rule: Rule, as_of: datetime, zone: str,
    catalog: str = "masked", calendar: str = "intermediate.int_calendar",
) -> None:
    """Make ``marts.catalogue_partition``: rows by table, source and day or month, and whether they were expected.

    Args:
        connection: Sees the facts, the work calendar and ``marts`` of ``catalog``.
        partitions: Table → column of its partitions; tables must exist.
        rule: Parameters.
        as_of: Instant on which the run stands.
        zone: Zone in which instants become days.
        catalog: Database of the marts.
        calendar: Work calendar: ``day``, ``is_working_day``, ``wd_number``.
    """
    sql = _JUDGED.format(catalog=catalog, counted=counted(partitions, catalog), following=rule.backed_days - 1)
    parameters = rule.model_dump(exclude={"grace", "backed_days"}) | {"as_of": as_of, "zone": zone}
    connection.execute(sql.replace(" calendar AS k", f" {calendar} AS k"), parameters)


def read_series(connection: duckdb.DuckDBPyConnection, catalog: str = "masked") -> dict[tuple[str, str], dict[str, Any]]:
    """What the partitions say of each source's subject, by (source, subject): start, habit, missing and unexpected ones."""
    rows = connection.sql(_SERIES.format(catalog=catalog)).to_arrow_table().to_pylist()
    return {(row["source"], row["subject"]): row for row in rows}
