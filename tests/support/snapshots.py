"""Published snapshots for tests and benchmarks: every mart of the contracts, filled by SQL from its row numbers.

Columns and types come from ``dbt/models/marts/*.yml``, so that the fixture follows the contracts. The rows are
believable (lengths, shares, nulls, a year and a half up to ``AS_OF``), the same for the same size, and nobody's.
"""

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import yaml

from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore

AS_OF = datetime(2026, 6, 30, 15, 59, 59, tzinfo=UTC)
"""End of 30 June 2026 in Changsha."""
RUN_ID = "019f1a2b-0000-7000-8000-000000000001"
CONTRACTS = Path(__file__).parents[2] / "dbt" / "models" / "marts"

PIPELINE_TABLES = {
    "run": "run_id VARCHAR, run_seq INTEGER, as_of TIMESTAMPTZ, started_at TIMESTAMPTZ, finished_at TIMESTAMPTZ, state VARCHAR",
    "check_result": "run_id VARCHAR, check_name VARCHAR, table_name VARCHAR, dimension VARCHAR, severity VARCHAR, passed BOOLEAN, "
    "failed_rows BIGINT, checked_rows BIGINT, message VARCHAR, sql VARCHAR, gate BOOLEAN",
    "score_indicator_month": "system_code VARCHAR, department_code VARCHAR, department_name VARCHAR, month DATE, indicator_code VARCHAR, "
    "indicator_name VARCHAR, numerator DOUBLE, denominator DOUBLE, value DOUBLE, score DOUBLE, weight DOUBLE, null_reason VARCHAR",
    "score_department_month": "system_code VARCHAR, department_code VARCHAR, department_name VARCHAR, month DATE, score DOUBLE, rank INTEGER, "
    "indicators_scored INTEGER, indicators_total INTEGER, label VARCHAR",
}
"""Marts that the pipelines write beside dbt's, with the columns of the build plan."""

BUREAUS = (
    "行政审批服务局,市场监督管理局,公安局,人力资源和社会保障局,自然资源和规划局,住房和城乡建设局,交通运输局,卫生健康局,教育局,民政局,"
    "生态环境局,应急管理局,城市管理和综合执法局,农业农村局,文化旅游广电体育局,医疗保障局,税务局,财政局,司法局,退役军人事务局,"
    "梅溪街道办事处,岳麓街道办事处,含浦街道办事处,天顶街道办事处"
).split(",")


def mart_columns(name: str) -> dict[str, str]:
    """Column name → DuckDB type of a dbt mart, as its contract has them."""
    text = (CONTRACTS / f"{name}.yml").read_text(encoding="utf-8")
    return {column["name"]: column["data_type"] for column in yaml.safe_load(text)["models"][0]["columns"]}


def write_marts(path: Path, cases: int = 600, matters: int = 60, run_id: str = RUN_ID, as_of: datetime = AS_OF, events: int = 6) -> None:
    """Write a masked marts file as a run leaves it.

    Args:
        path: DuckDB file, made new.
        cases: Number of cases; events, certificates and reviews follow (about 6, 0.5 and 0.6 a case).
        matters: Number of matters (24 departments share them).
        run_id: Run that it says it is from, in ``marts.run`` and the run's own tables.
        as_of: Instant to which it is valid.
        events: Events a case; 0 leaves them out (large benchmarks that do not read them).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        connection.execute("CREATE SCHEMA marts")
        connection.execute("CREATE TEMP TABLE bureau AS SELECT i - 1 AS n, names[i] AS name FROM (SELECT ? AS names), range(1, 25) AS r(i)", [BUREAUS])
        size = {"cases": cases, "matters": matters, "run_id": run_id, "as_of": as_of.isoformat(), "events": events}
        for table, source in _TABLES.items():
            _fill(connection, table, source.format(**size))
        for table, columns in PIPELINE_TABLES.items():
            connection.execute(f"CREATE TABLE marts.{table} ({columns})")
        for statement in _PIPELINE_ROWS.format(**size).split(";"):
            connection.execute(statement)


def publish(settings: Settings, run_id: str = RUN_ID, as_of: datetime = AS_OF, cases: int = 600, published_at: datetime | None = None) -> Path:
    """Write marts and publish them in a home, as the last step of a run does."""
    settings.marts.unlink(missing_ok=True)
    write_marts(settings.marts, cases, run_id=run_id, as_of=as_of)
    return SnapshotStore(settings).publish(settings.marts, run_id, as_of, published_at or as_of)


def _fill(connection: duckdb.DuckDBPyConnection, table: str, query: str) -> None:
    """Create a mart with its contract's columns; what the query does not give is null."""
    columns = mart_columns(table)
    connection.execute(f"CREATE TABLE marts.{table} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
    given = [row[0] for row in connection.execute(f"DESCRIBE ({query})").fetchall()]
    chosen = ", ".join(name for name in given if name in columns)
    connection.execute(f"INSERT INTO marts.{table} ({chosen}) SELECT {chosen} FROM ({query})")


_DEPARTMENT = "printf('11430104%09dK', {n})"


def _department(n: str) -> str:
    return _DEPARTMENT.format(n=n)


_TABLES = {
    "dim_department": f"""
        SELECT 'sample' AS source, {_department('n')} AS department_code, '湘江新区' || name AS department_name,
            CASE WHEN n < 20 THEN 'bureau' ELSE 'street' END AS department_kind_code, '430104' AS region_code, n::INTEGER AS sort_order,
            DATE '2024-01-01' AS effective_from, {_department('n')} AS current_code, 'current' AS succession_state
        FROM bureau""",
    "dim_region": """
        SELECT 'sample' AS source, printf('430104%03d', n) AS region_code, '街道' || n AS region_name, '430104' AS parent_code,
            'street' AS region_level_code, DATE '2024-01-01' AS effective_from, printf('430104%03d', n) AS current_code,
            'current' AS succession_state FROM range(1, 25) AS r(n)
        UNION ALL SELECT 'sample', '430104', '岳麓区', NULL, 'county', DATE '2024-01-01', '430104', 'current'""",
    "bridge_area_region": """
        SELECT 'XJXQ' AS area_code, printf('430104%03d', n) AS region_code, DATE '2024-01-01' AS valid_from,
            printf('430104%03d', n) AS stated_region_code, true AS is_assumed FROM range(1, 25) AS r(n)""",
    "dim_matter_version": """
        SELECT 'sample' AS source, printf('M%04d', n) AS matter_code, '2024.1' AS version, DATE '2024-01-01' AS effective_from,
            DATE '2024-01-01' AS valid_from, true AS is_current, 'active' AS matter_state_code FROM range({matters}) AS r(n)""",
    "dim_window": f"""
        SELECT 'sample' AS source, printf('W%03d', n) AS window_code, '综合窗口' || n AS window_name, {_department('n % 24')} AS department_code,
            '430104' AS region_code, '政务服务大厅' AS hall_name, (1 + n % 3)::INTEGER AS floor, n % 2 = 0 AS is_general FROM range(40) AS r(n)""",
    "dim_matter": f"""
        SELECT 'sample' AS source, printf('11430104%09dK4370%08d', n % 24, n) AS matter_code, printf('00%010d', n) AS basic_code,
            ['食品经营许可','公共场所卫生许可','施工许可证核发','社会团体成立登记','取水许可','内资企业设立登记','灵活就业参保登记'][1 + n % 7] || '(' || n || ')' AS matter_name,
            ['01', '01', '01', '07', '10', '20', '20'][1 + n % 7] AS type_code, '4' AS level_code, {_department('n % 24')} AS department_code,
            '湘江新区' || b.name AS department_name, 20 AS statutory_limit, 'wd' AS statutory_limit_unit, (n % 11)::INTEGER AS promised_limit,
            'wd' AS promised_limit_unit, 'acceptance' AS clock_start_code, CASE WHEN n % 11 = 0 THEN '1' ELSE '2' END AS case_kind_code,
            n % 10 <> 3 AS is_online, (n % 2)::INTEGER AS trips, '1,2,3' AS handling_form_codes, '1,2' AS service_object_codes,
            n % 3 = 0 AS has_certificate, '[]' AS materials, 3 AS material_count, '430104' AS region_code, DATE '2024-01-01' AS effective_from,
            CASE WHEN n % 40 = 39 THEN 'suspended' ELSE 'active' END AS matter_state_code, TIMESTAMPTZ '2024-01-01 00:00:00+08' AS updated_at
        FROM range({{matters}}) AS r(n) JOIN (SELECT n AS bureau, name FROM bureau) AS b ON b.bureau = n % 24""",
    "fct_case": f"""
        WITH numbered AS (
            SELECT i, (hash(i) >> 1)::BIGINT AS h, (hash(i, 2) >> 1)::BIGINT AS h2, TIMESTAMPTZ '{{as_of}}' AS as_of,
                (sqrt((hash(i, 3) % 1000000) / 1000000.0) * {{matters}})::BIGINT % {{matters}} AS m
            FROM range({{cases}}) AS r(i)
        ), timed AS (
            SELECT *, date_trunc('day', as_of) - to_days((h % 540)::INTEGER) + to_seconds(32400 + (h2 % 28000)::INTEGER) AS received,
                CASE WHEN h2 % 100 < 8 THEN NULL ELSE to_hours((6 + h2 % 240)::INTEGER) END AS taken, (6 + h % 11)::INTEGER AS limit_days
            FROM numbered
        ), clocked AS (
            SELECT *, CASE WHEN received + taken <= as_of THEN received + taken END AS completed,
                CASE WHEN h % 50 > 0 THEN date_trunc('day', received) + to_days(limit_days) + INTERVAL '23:59:59' END AS due FROM timed
        )
        SELECT 'sample' AS source, printf('4301%s%08d', strftime(received, '%y%m%d'), i) AS case_number,
            printf('11430104%09dK4370%08d', m % 24, m) AS matter_code,
            ['食品经营许可','公共场所卫生许可','施工许可证核发','社会团体成立登记','取水许可','内资企业设立登记','灵活就业参保登记'][1 + m % 7] || '(' || m || ')' AS matter_name,
            ['01', '01', '01', '07', '10', '20', '20'][1 + m % 7] AS type_code, {_department('m % 24')} AS department_code,
            printf('430104%03d', 1 + h2 % 24) AS region_code, CASE WHEN h % 10 < 4 THEN printf('W%03d', h % 40) END AS window_code,
            ['1', '1', '1', '1', '2', '2', '2', '3', '3', '5'][1 + h % 10] AS channel_code, CASE WHEN m % 11 = 0 THEN '1' ELSE '2' END AS case_kind_code,
            CASE WHEN completed IS NOT NULL THEN CASE WHEN h % 25 = 0 THEN 'denied' ELSE 'granted' END END AS outcome_code,
            CASE WHEN h % 3 = 0 THEN '990' ELSE '111' END AS applicant_id_type_code,
            CASE WHEN h % 3 = 0 THEN '湘江' || h2 % 9999 || '商贸有限公司' ELSE ['张','李','王','刘','陈','周','黄'][1 + h2 % 7] || '**' END AS applicant_name_masked,
            '4301**********' || lpad((h2 % 10000)::VARCHAR, 4, '0') AS applicant_id_masked, sha256((h2 % 400000)::VARCHAR) AS applicant_id_digest,
            h2 % 200 > 0 AS applicant_id_is_valid, h % 20 = 1 AS is_commitment, h % 33 = 1 AS is_tolerance, received AS received_at,
            received::DATE AS received_on, CASE WHEN h % 60 > 0 THEN received + INTERVAL 2 HOURS END AS accepted_at,
            accepted_at AS recorded_accepted_at,
            CASE WHEN h % 60 > 0 THEN (received + INTERVAL 2 HOURS)::DATE END AS accepted_on, h % 97 = 0 AS is_deemed_accepted, due AS due_at,
            due::DATE AS due_on, CASE WHEN due IS NOT NULL THEN 'promised' END AS due_basis, CASE WHEN due IS NULL THEN 'no_limit' END AS due_null_reason,
            due::DATE AS promised_due_on, (due + INTERVAL 20 DAYS)::DATE AS statutory_due_on, completed AS completed_at, completed::DATE AS completed_on,
            completed IS NOT NULL AS is_completed, coalesce(completed, as_of) > due AS is_late,
            coalesce(completed, as_of) > due + INTERVAL 20 DAYS AS is_statutory_late, h % 200 = 7 AS is_paused, (h % 200 = 7)::INTEGER * 5 AS paused_days,
            0 AS extension_days, (h % 12 = 5)::INTEGER AS correction_count, CASE WHEN h % 12 = 5 THEN h2 % 10 > 0 END AS is_told_once_in_time,
            false AS has_invalid_pause, false AS has_invalid_extension, CASE WHEN completed IS NOT NULL THEN (h2 % 10)::INTEGER END AS net_working_days,
            m % 50 <> 49 AS is_matter_known, m % 40 <> 39 AS is_matter_in_force, h % 1000 = 500 AS is_end_before_start,
            m % 3 = 0 AND completed IS NOT NULL AS is_certificate_due, coalesce(completed, received) AS updated_at, as_of, 1 AS _run_seq
        FROM clocked""",
    "fct_case_event": """
        SELECT source, case_number, s::INTEGER AS sequence, ['received','accepted','handled','reviewed','approved','completed'][1 + (s - 1) % 6] AS activity_code,
            ['收件','受理','承办','审核','批准','办结'][1 + (s - 1) % 6] AS activity, ['张**','李**','王**'][1 + s % 3] AS actor_masked,
            received_at + to_hours(4 * (s - 1)::INTEGER) AS occurred_at, department_code, window_code, '2' AS step_state_code,
            false AS is_after_case_end, 1 AS _run_seq
        FROM marts.fct_case, range(1, 1 + {events}) AS r(s) WHERE is_completed OR s < 6""",
    "fct_certificate": """
        SELECT source, 'C' || case_number AS certificate_id, '食品经营许可证' AS certificate_name, 'JY2' || right(case_number, 12) AS certificate_number,
            applicant_name_masked AS holder_name_masked, applicant_id_type_code AS holder_id_type_code, applicant_id_masked AS holder_id_masked,
            applicant_id_digest AS holder_id_digest, applicant_id_is_valid AS holder_id_is_valid, department_code AS issuer_code, completed_on AS issued_on,
            completed_on AS valid_from, completed_on + 1825 AS valid_to, false AS is_long_term, 'valid' AS certificate_state_code, case_number, updated_at, 1 AS _run_seq
        FROM marts.fct_case WHERE is_completed AND hash(case_number) % 100 < 55""",
    "fct_review": """
        SELECT source, 'R' || case_number AS review_id, case_number, ['pc','mobile','tablet'][1 + (hash(case_number) % 3)::BIGINT] AS review_channel_code,
            applicant_name_masked AS reviewer_name_masked, completed_at + INTERVAL 3 HOURS AS reviewed_at, (completed_at + INTERVAL 3 HOURS)::DATE AS reviewed_on,
            1 AS review_round, ['1','1','1','1','1','1','2','2','3','4'][1 + (hash(case_number, 2) % 10)::BIGINT] AS satisfaction_code,
            hash(case_number, 3) % 10 = 0 AS is_default, hash(case_number, 2) % 10 = 9 AS is_bad, department_code, region_code, false AS is_anonymous,
            completed_at AS updated_at, 1 AS _run_seq
        FROM marts.fct_case WHERE is_completed AND hash(case_number, 4) % 100 < 65""",
    "mart_department_day": """
        WITH counted AS (
            SELECT received_on AS date, department_code, 'M15' AS measure_code, count(*) FILTER (channel_code IN ('2','3','5')) AS numerator, count(*) AS denominator
            FROM marts.fct_case GROUP BY ALL
            UNION ALL SELECT received_on, department_code, 'M28', count(*) FILTER (is_matter_in_force), count(*) FROM marts.fct_case GROUP BY ALL
            UNION ALL SELECT received_on, department_code, 'M11', count(*) FILTER (correction_count = 1 AND is_told_once_in_time),
                count(*) FILTER (correction_count > 0) FROM marts.fct_case GROUP BY ALL
            UNION ALL SELECT CASE WHEN is_completed THEN completed_on ELSE due_on END, department_code, 'M07',
                count(*) FILTER (is_completed AND NOT is_late), count(*) FROM marts.fct_case
                WHERE is_late IS NOT NULL AND (is_completed OR is_late) GROUP BY ALL
        )
        SELECT date, department_code, measure_code, numerator::DOUBLE AS numerator, denominator::DOUBLE AS denominator,
            CASE WHEN denominator = 0 THEN 'no_denominator' END AS null_reason
        FROM counted""",
    "mart_sync_run": """
        SELECT '{run_id}' AS run_id, 1 AS run_seq, TIMESTAMPTZ '{as_of}' AS started_at, 'sample' AS source, subject, rows_read, rows_read - 1 AS inserted,
            0 AS updated, 0 AS unchanged, 0 AS superseded, 0 AS deleted, 1 AS quarantined
        FROM (VALUES ('matter', {matters} + 1), ('case', {cases} + 1), ('case_event', {cases} * {events} + 1)) AS v(subject, rows_read)""",
    "quarantine": """
        SELECT 'sample' AS source, 'case' AS subject, printf('43012606%07d', n) AS record_key, 'bad_instant' AS reason_code,
            '收件时间“2026-13-40”无法识别' AS reason, '{{"case_number": "***"}}' AS raw, 'case/part-000.parquet' AS file, n AS file_row, '{run_id}' AS run_id
        FROM range(1, 6) AS r(n)""",
}
"""Mart → query that gives its rows; ``{{cases}}``, ``{{matters}}``, ``{{run_id}}``, ``{{as_of}}`` are filled in."""

_PIPELINE_ROWS = """
INSERT INTO marts.run VALUES ('{run_id}', 1, '{as_of}', '{as_of}', '{as_of}', 'published');
INSERT INTO marts.check_result
    SELECT '{run_id}', 'unique_' || t, t, ['唯一性', '完整性', '有效性'][1 + n % 3], CASE WHEN n % 4 = 0 THEN 'blocks' ELSE 'counts' END, n <> 5,
        CASE WHEN n = 5 THEN 12 ELSE 0 END, {cases}, '检查 ' || t, 'select * from marts.' || t, n % 4 = 0
    FROM (SELECT unnest(['fct_case','fct_case_event','fct_certificate','fct_review','dim_matter','dim_department','quarantine']) AS t,
        generate_subscripts(['fct_case','fct_case_event','fct_certificate','fct_review','dim_matter','dim_department','quarantine'], 1) AS n);
INSERT INTO marts.score_indicator_month
    SELECT 'self', d.department_code, any_value(d.department_name), date_trunc('month', s.date)::DATE, s.measure_code,
        CASE s.measure_code WHEN 'M07' THEN '按时办结率' WHEN 'M11' THEN '一次性告知率' WHEN 'M15' THEN '网办率' ELSE '办件关联事项率' END, sum(numerator), sum(denominator),
        sum(numerator) / nullif(sum(denominator), 0), 100 * sum(numerator) / nullif(sum(denominator), 0), 0.25,
        CASE WHEN sum(denominator) = 0 THEN 'no_denominator' END
    FROM marts.mart_department_day AS s JOIN marts.dim_department AS d USING (department_code) GROUP BY ALL;
INSERT INTO marts.score_department_month
    SELECT system_code, department_code, department_name, month, avg(score), rank() OVER (PARTITION BY month ORDER BY avg(score) DESC),
        count(score), 4, '自评'
    FROM marts.score_indicator_month GROUP BY 1, 2, 3, 4
"""
