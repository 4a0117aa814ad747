"""Which records may be reported: whose partition was checked, who have no open blocking violation and whose parents pass.

All in sets, in temporary tables of the connection in hand:

- ``reason_<mart>`` (source, record_key, place, rule_id, field, value, message): why a record is held back, one row a reason;
- ``fate`` (source, record_key, key, day, digest, fate, first_rule): what becomes of each record that is due.
"""

# ruff: noqa: S608 - tables, columns and rules come from the catalogue, which checked them

from collections.abc import Sequence

import duckdb

from models.domain.errors import YiwangError
from quality.catalogue.model import Rule
from quality.catalogue.subjects import TABLES, Parent
from quality.reporting.items import REPORTED, REPORTED_FIRST, Subject
from quality.reporting.period import Period

NOT_CHECKED, UNDATED, PARENT_HELD, PARENT_MISSING, PARENT_WAITS = "not_checked", "undated", "parent_held", "parent_missing", "parent_not_reported"
"""Reasons that are no rules: the partition was not checked, the record has no day, its parent is held back, unknown, or does not stand above (yet)."""
REASONS = {
    NOT_CHECKED: "未经检查", UNDATED: "没有日期", PARENT_HELD: "所属记录暂缓上报", PARENT_MISSING: "所属记录不存在", PARENT_WAITS: "所属记录尚未上报或已撤回",
}  # fmt: skip
"""Reason that is no rule → its Chinese name."""
NEW, LATE, CORRECT, WITHDRAW = "new", "late", "correct", "withdraw"
ACTIONS = {NEW: "新增", LATE: "补报", CORRECT: "更正", WITHDRAW: "撤回"}
"""What a line of a package tells the level above → its Chinese name."""
HELD, SENT, WITHDRAWN = "held", "sent", "withdrawn"
"""Fates of records that are due and do not go out now: held back; as reported before; withdrawn on demand and unchanged since."""
_LEDGER_TABLES = ("quality_violation", "quality_check", "check_result")


def require_checks(connection: duckdb.DuckDBPyConnection) -> None:
    """Refuses a snapshot without the ledger of violations: nobody could tell what is good.

    Raises:
        YiwangError: YW-REPORT-004.
    """
    query = "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = 'marts'"
    there = {row[0] for row in connection.execute(query).fetchall()}
    if missing := [table for table in _LEDGER_TABLES if table not in there]:
        raise YiwangError("YW-REPORT-004", detail=f"缺少 {'、'.join(missing)}")


def find_reasons(connection: duckdb.DuckDBPyConnection, table: str, rules: Sequence[Rule]) -> None:
    """Fills ``reason_<mart>`` for a mart and for all to which its rows belong.

    Args:
        connection: On a snapshot with the ledger of violations.
        table: The mart.
        rules: The catalogue.

    Raises:
        YiwangError: YW-REPORT-004 where the ledger contradicts itself.
    """
    on = TABLES[table]
    if on.parent:
        find_reasons(connection, on.parent.table, rules)
    blocking = [rule for rule in rules if rule.table == table and rule.severity == "blocks"]
    key, source = on.record_key, on.source or "NULL::VARCHAR"
    _latest_checks(connection, table)
    _refuse_contradiction(connection, table)
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE reason_{table} (source VARCHAR, record_key VARCHAR, place INTEGER, rule_id VARCHAR, field VARCHAR, value VARCHAR, message VARCHAR)"
    )
    _not_checked(connection, table, blocking)
    if on.day:
        connection.execute(
            f"INSERT INTO reason_{table} SELECT {source}, {key}, 1, '{UNDATED}', NULL, NULL, '没有日期，无法归入任何一期' FROM marts.{table} AS t WHERE ({on.day}) IS NULL"
        )
    places = {rule.id: place for place, rule in enumerate(blocking, start=2)}
    connection.execute(
        f"""
        INSERT INTO reason_{table}
        SELECT source, record_key, coalesce(list_position($rules, rule_id) + 1, 1000000), rule_id, any_value(field), any_value(value), any_value(message)
        FROM marts.quality_violation WHERE table_name = $table AND (severity = 'blocks' OR list_contains($rules, rule_id)) AND healed_at IS NULL
        GROUP BY source, record_key, rule_id
        """,
        {"rules": list(places), "table": table},
    )
    sampled = connection.execute("SELECT rule_id FROM latest_check WHERE rows_failed > coalesce(rows_listed, 0) GROUP BY 1").fetchall()
    for rule in (rule for rule in blocking if (rule.id,) in sampled):
        # the ledger lists a sample of them: the rule itself knows them all
        value = f"CAST(t.{rule.at_fault} AS VARCHAR)" if rule.at_fault else "NULL"
        connection.execute(
            f"""
            INSERT INTO reason_{table}
            SELECT s.* FROM (
                SELECT {source} AS source, {key} AS record_key, {places[rule.id]}, '{rule.id}' AS rule_id, $field, {value}, {rule.message_sql}
                FROM marts.{table} AS t WHERE {rule.condition}
            ) AS s ANTI JOIN reason_{table} AS r ON r.rule_id = s.rule_id AND r.source IS NOT DISTINCT FROM s.source AND r.record_key = s.record_key
            """,
            {"field": rule.at_fault},
        )
    if on.parent:
        _parents(connection, table, on.parent)


def _latest_checks(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """The last word on each rule and partition of a mart. Run identifiers sort by time."""
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE latest_check AS
        SELECT rule_id, partition_on, max(run_id) AS run_id, arg_max(status, run_id) AS status, arg_max(reason, run_id) AS reason,
            arg_max(rows_failed, run_id) AS rows_failed, arg_max(rows_listed, run_id) AS rows_listed
        FROM marts.quality_check WHERE table_name = $table GROUP BY 1, 2
        """,
        {"table": table},
    )


def _refuse_contradiction(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """What the ledger says that it lists must be there: of a violation that was lost the record would go out."""
    query = """
        SELECT c.rule_id, c.partition_on, c.rows_listed, coalesce(l.listed, 0), c.rows_failed FROM latest_check AS c
        LEFT JOIN (
            SELECT rule_id, partition_on, count(DISTINCT (source, record_key)) AS listed FROM marts.quality_violation
            WHERE table_name = $table AND healed_at IS NULL GROUP BY ALL
        ) AS l ON l.rule_id = c.rule_id AND l.partition_on IS NOT DISTINCT FROM c.partition_on
        WHERE (c.rows_listed <> coalesce(l.listed, 0) OR c.rows_listed > c.rows_failed)
            AND c.rule_id NOT IN (SELECT rule_id FROM latest_check WHERE status NOT IN ('evaluated', 'empty'))
        ORDER BY c.rule_id, c.partition_on LIMIT 1
    """
    for rule, partition, stated, listed, failed in connection.execute(query, {"table": table}).fetchall():
        where = f"规则 {rule} {partition or '无日期'}"
        if stated > failed:
            raise YiwangError("YW-REPORT-004", detail=f"{where} 列出 {stated} 条问题，却只查出 {failed} 条")
        raise YiwangError("YW-REPORT-004", detail=f"{where} 应列出 {stated} 条问题，实有 {listed} 条")


def _not_checked(connection: duckdb.DuckDBPyConnection, table: str, blocking: Sequence[Rule]) -> None:
    """Every record of a partition on which a blocking rule, as it is now, was not evaluated the last time it should have been."""
    on = TABLES[table]
    day = f"({on.day})" if on.day else "NULL::DATE"
    source = on.source or "NULL::VARCHAR"
    connection.execute("CREATE OR REPLACE TEMP TABLE blocking (rule_id VARCHAR, first DATE, last DATE, sql VARCHAR)")
    if blocking:
        connection.executemany("INSERT INTO blocking VALUES (?, ?, ?, ?)", [[r.id, r.effective_from, r.effective_to, r.sql] for r in blocking])
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE unchecked AS
        WITH stated AS (SELECT check_name, arg_max(sql, run_id) AS sql FROM marts.check_result GROUP BY 1),
        gap AS (
            SELECT d.day, b.rule_id, CASE WHEN o.rule_id IS NULL AND coalesce(c.status, '') IN ('evaluated', 'empty') THEN '规则在检查之后改过'
                ELSE coalesce(o.reason, c.reason, '没有执行记录') END AS reason
            FROM (SELECT DISTINCT {day} AS day FROM marts.{table} AS t) AS d
            JOIN blocking AS b ON d.day IS NULL OR d.day BETWEEN coalesce(b.first, d.day) AND coalesce(b.last, d.day)
            LEFT JOIN latest_check AS c ON c.rule_id = b.rule_id AND c.partition_on IS NOT DISTINCT FROM d.day
            -- of a rule that was stopped the partitions are unknown: the row without one speaks for all until they are checked again
            LEFT JOIN latest_check AS o ON o.rule_id = b.rule_id AND o.partition_on IS NULL AND o.status NOT IN ('evaluated', 'empty')
                AND o.run_id >= coalesce(c.run_id, '')
            LEFT JOIN stated AS s ON s.check_name = b.rule_id
            WHERE coalesce(c.status, '') NOT IN ('evaluated', 'empty') OR o.rule_id IS NOT NULL OR s.sql IS DISTINCT FROM b.sql
        )
        SELECT day, '未经检查：' || string_agg(rule_id || '（' || reason || '）', '、' ORDER BY rule_id) AS message FROM gap GROUP BY day
        """
    )
    connection.execute(
        f"""
        INSERT INTO reason_{table}
        SELECT {source}, {on.record_key}, 0, '{NOT_CHECKED}', NULL, NULL, u.message
        FROM marts.{table} AS t JOIN unchecked AS u ON u.day IS NOT DISTINCT FROM {day}
        """
    )


def _parents(connection: duckdb.DuckDBPyConnection, table: str, parent: Parent) -> None:
    on, above = TABLES[table], TABLES[parent.table]
    theirs = ", ".join(f"t.{column} AS p{number}" for number, column in enumerate(parent.columns.values()))
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE parent AS
        SELECT {theirs}, bool_or(r.record_key IS NULL) AS passes
        FROM marts.{parent.table} AS t
        LEFT JOIN (SELECT DISTINCT source, record_key FROM reason_{parent.table}) AS r ON r.source IS NOT DISTINCT FROM {above.source or "NULL"} AND r.record_key = {above.record_key}
        GROUP BY ALL
        """
    )
    same = " AND ".join(f"p.p{number} = t.{column}" for number, column in enumerate(parent.columns))
    named = " AND ".join(f"t.{column} IS NOT NULL" for column in parent.columns)
    stands = "true"
    if subject := REPORTED_FIRST.get(parent.table):
        stands = f"{_parent_of(parent)} IN (SELECT (source, record_key) FROM ledger.reported WHERE subject = '{subject}' AND state = 'reported')"
    connection.execute(
        f"""
        INSERT INTO reason_{table}
        SELECT source, record_key, 2000000, reason, NULL, NULL, '所属的{above.title}' || CASE reason WHEN '{PARENT_MISSING}' THEN '不存在'
            WHEN '{PARENT_HELD}' THEN '暂缓上报' ELSE '尚未上报或已撤回' END
        FROM (
            SELECT {on.source or "NULL"} AS source, {on.record_key} AS record_key, CASE WHEN p.passes IS NULL THEN '{PARENT_MISSING}'
                WHEN NOT p.passes THEN '{PARENT_HELD}' WHEN NOT ({stands}) THEN '{PARENT_WAITS}' END AS reason
            FROM marts.{table} AS t LEFT JOIN parent AS p ON {same} WHERE {named}
        ) WHERE reason IS NOT NULL
        """
    )


def _parent_of(parent: Parent) -> str:
    """SQL of what a row ``t`` belongs to: source and key, as the ledger has them, whether or not the parent's mart has it."""
    mine = {theirs: column for column, theirs in parent.columns.items()}
    key = " || '/' || ".join(f"coalesce(CAST(t.{mine[column]} AS VARCHAR), '')" for column in TABLES[parent.table].key)
    return f"(t.{mine['source']}, {key})"


def decide(connection: duckdb.DuckDBPyConnection, subject: Subject, period: Period | None, covered: Sequence[Period]) -> None:
    """Fills ``fate`` for the records that are due: of the period, of earlier ones, without a day, or reported before.

    Args:
        connection: After :func:`find_reasons`; ``ledger.reported`` is what was reported.
        subject: The subject.
        period: Of the package in hand; None: what was reported before alone is due.
        covered: Of the packages before.
    """
    on = subject.on
    day = f"({on.day})" if on.day else "NULL::DATE"
    _first_reasons(connection, subject.table)
    _reported(connection, subject)
    is_in_period = within(day, [period]) if on.day and period else "true"
    due = "l.record_key IS NOT NULL"
    if period:
        due = f"({within(day, [period, *covered])} OR {day} IS NULL OR {due})" if on.day else "true"
    content = ", ".join(f"{item.field} := {item.sql}" for item in subject.sent)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE fate AS
        SELECT source, record_key, key, day, digest, first_rule, is_reported, CASE
                WHEN first_rule IS NOT NULL THEN '{HELD}'
                WHEN state = 'withdrawn' AND digest = sent_digest THEN '{WITHDRAWN}'
                WHEN state = 'reported' AND digest = sent_digest THEN '{SENT}'
                WHEN state = 'reported' THEN '{CORRECT}'
                WHEN is_in_period THEN '{NEW}' ELSE '{LATE}' END AS fate
        FROM (
            SELECT {on.source} AS source, {on.record_key} AS record_key, [{", ".join(f"CAST(t.{column} AS VARCHAR)" for column in on.key)}] AS key,
                {day} AS day, unhex(sha256(CAST(to_json(struct_pack({content})) AS VARCHAR))) AS digest, h.rule_id AS first_rule,
                l.state, l.digest AS sent_digest, coalesce(l.state = 'reported', false) AS is_reported, {is_in_period} AS is_in_period
            FROM marts.{subject.table} AS t
            LEFT JOIN first_reason AS h ON h.source = {on.source} AND h.record_key = {on.record_key}
            LEFT JOIN reported AS l ON l.source = {on.source} AND l.record_key = {on.record_key}
            WHERE {due}
        )
        """
    )


def _first_reasons(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """The reason under which a record is counted: not checked before any other, then the rules as the catalogue has them."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE first_reason AS SELECT source, record_key, arg_min(rule_id, (place, rule_id)) AS rule_id FROM reason_{table} GROUP BY 1, 2"
    )


def _reported(connection: duckdb.DuckDBPyConnection, subject: Subject) -> None:
    connection.execute("CREATE OR REPLACE TEMP VIEW reported AS SELECT * FROM ledger.reported WHERE subject = '" + subject.name + "'")


def find_gone(connection: duckdb.DuckDBPyConnection, subject: Subject) -> int:
    """Fills ``gone`` with what was reported and must not stand any more.

    That is what the source has no more, and what belongs to a record that was withdrawn.

    Returns:
        The number of those that the source has no more.
    """
    on = subject.on
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE gone AS
        SELECT l.source, l.record_key, l.key, l.day, l.digest FROM reported AS l
        ANTI JOIN (SELECT {on.source} AS source, {on.record_key} AS record_key FROM marts.{subject.table} AS t) AS t USING (source, record_key)
        WHERE l.state = 'reported'
        """
    )
    vanished = one(connection, "SELECT count(*) FROM gone")
    if query := followers(subject.name):
        connection.execute(f"INSERT INTO gone SELECT source, record_key, key, day, digest FROM ({query})")
    return vanished


def followers(name: str, package: str | None = None) -> str | None:
    """SQL of what stands above of a subject though what it belongs to was withdrawn; None where nothing has to stand first.

    Args:
        name: The subject.
        package: Only of what this package withdrew.
    """
    on, parent = TABLES[REPORTED[name]], TABLES[REPORTED[name]].parent
    if parent is None or parent.table not in REPORTED_FIRST:
        return None
    by = f"AND package = '{package}'" if package else ""
    withdrawn = f"SELECT (source, record_key) FROM ledger.reported WHERE subject = '{REPORTED_FIRST[parent.table]}' AND state <> 'reported' {by}"
    return (
        f"SELECT l.* FROM ledger.reported AS l JOIN marts.{REPORTED[name]} AS t ON {on.source} = l.source AND {on.record_key} = l.record_key "
        f"WHERE l.subject = '{name}' AND l.state = 'reported' AND {_parent_of(parent)} IN ({withdrawn})"
    )


def within(day: str, periods: Sequence[Period]) -> str:
    """SQL condition: a day falls into one of some periods."""
    return "(" + " OR ".join(f"{day} BETWEEN DATE '{period.first}' AND DATE '{period.last}'" for period in periods) + ")"


def one(connection: duckdb.DuckDBPyConnection, query: str, values: object = None) -> int:
    """The one number that a query gives."""
    return int(connection.execute(query, values).fetchall()[0][0])
