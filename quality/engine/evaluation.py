"""Evaluates rules over one mart in few scans: what was looked at and what fails, by rule, partition and department.

All conditions are columns of one scan, of which one aggregation takes the counts and the rows that fail; rules are
listed from those rows. A pass that a rule holds up, or that fails, is done again without the rules that read other rows, and
these rule by rule, so that only the culprit is left out.
"""

# ruff: noqa: S608 - tables, columns and rules come from the catalogue, which checked them

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from quality.catalogue.model import Rule
from quality.catalogue.subjects import TABLES

WIDTH = 60
"""Rules in one pass: as many as bits of one integer, and then some to spare."""

_TABLES = """
CREATE OR REPLACE TEMP TABLE found_count (
    rule_id VARCHAR, table_name VARCHAR, partition_on DATE, department_code VARCHAR, rows_checked BIGINT, rows_failed BIGINT);
CREATE OR REPLACE TEMP TABLE former_count AS FROM found_count;
CREATE OR REPLACE TEMP TABLE found_violation (
    rule_id VARCHAR, table_name VARCHAR, source VARCHAR, record_key VARCHAR, field VARCHAR, value VARCHAR, department_code VARCHAR,
    partition_on DATE, severity VARCHAR, dimension VARCHAR, message VARCHAR);
"""


@dataclass(frozen=True)
class Limits:
    """How much one rule may take.

    Attributes:
        seconds: Time after which it is stopped.
        memory: DuckDB's memory limit meanwhile.
        listed: Violations of one rule that are listed; beyond, an even sample of at most as many.
    """

    seconds: float = 120
    memory: str = "2GB"
    listed: int = 100_000


@dataclass(frozen=True)
class Task:
    """A rule and the SQL by which it is evaluated: the rule's own, or one that reads less and says the same.

    Attributes:
        rule: The rule.
        condition: Condition of the rows that fail.
        checked: Condition of the rows that it looks at.
    """

    rule: Rule
    condition: str
    checked: str


@dataclass(frozen=True)
class Rows:
    """Rows of a mart that are looked at.

    Attributes:
        table: The mart.
        condition: SQL condition of the rows ``t``.
        department: SQL of the department that answers for a row.
        relation: Where they are, when it is not the mart itself.
    """

    table: str
    condition: str
    department: str
    relation: str | None = None

    @property
    def place(self) -> str:
        """The relation that holds the rows."""
        return self.relation or f"marts.{self.table}"


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes the empty temporary tables ``found_count``, ``found_violation`` and ``former_count``, into which rules are evaluated."""
    connection.execute(_TABLES)


def evaluate(
    connection: duckdb.DuckDBPyConnection, rows: Rows, tasks: Sequence[Task], limits: Limits, elsewhere: Mapping[str, int] | None = None
) -> dict[str, str]:
    """Evaluates rules over rows of one mart and adds what it finds to the temporary tables.

    Args:
        connection: Has the marts and the tables of :func:`prepare`.
        rows: The mart and its rows to look at.
        tasks: Its rules.
        limits: What a rule may take.
        elsewhere: Rule → rows that fail among those not looked at here, for the size of its sample.

    Returns:
        Rule → why it could not be evaluated, in Chinese; it has left nothing in the tables.
    """

    def found(chunk: Sequence[Task]) -> None:
        _scan(connection, rows, chunk)
        _count(connection, rows.table, chunk, "found_count")
        _list(connection, rows, chunk, limits, elsewhere or {})

    return _each(connection, tasks, limits, found)


def count_former(connection: duckdb.DuckDBPyConnection, rows: Rows, tasks: Sequence[Task], limits: Limits) -> dict[str, str]:
    """Counts what rules said of rows as they were, into ``former_count``; parameters and answer as of :func:`evaluate`."""

    def found(chunk: Sequence[Task]) -> None:
        _scan(connection, rows, chunk)
        _count(connection, rows.table, chunk, "former_count")

    return _each(connection, tasks, limits, found)


def _each(connection: duckdb.DuckDBPyConnection, tasks: Sequence[Task], limits: Limits, found: Callable[[Sequence[Task]], None]) -> dict[str, str]:
    """Passes over as many rules as fit; where one fails, over those that read their row alone, and the others rule by rule."""
    failed: dict[str, str] = {}
    for start in range(0, len(tasks), WIDTH):
        chunk = tasks[start : start + WIDTH]
        reason = _attempt(connection, chunk, limits, found)
        if reason is None:
            continue
        if len(chunk) == 1:
            failed[chunk[0].rule.id] = reason
            continue
        alone = [task for task in chunk if "select" not in f"{task.condition} {task.checked}".lower()]  # what they compute is bounded: hardly one of them
        if len(alone) > 1 and len(alone) < len(chunk) and _attempt(connection, alone, limits, found) is None:
            chunk = [task for task in chunk if task not in alone]
        for task in chunk:
            if (reason := _attempt(connection, [task], limits, found)) is not None:
                failed[task.rule.id] = reason
    return failed


def sample_bits(violations: int, listed: int) -> int:
    """Binary digits of a record's hash that must be zero for it to be listed: 0 lists all, each further one about half."""
    return max(0, (violations - 1) // listed).bit_length() if violations > listed else 0


def sample_condition(bits: int, source: str, record_key: str) -> str:
    """SQL condition of the records in a sample; it depends on the record alone, so that runs list the same ones."""
    return f"hash({source}, {record_key}) % {2**bits} = 0" if bits else "true"


def _attempt(connection: duckdb.DuckDBPyConnection, tasks: Sequence[Task], limits: Limits, found: Callable[[Sequence[Task]], None]) -> str | None:
    """One pass; why it failed, None when it did not."""
    connection.begin()
    try:
        with stopped_after(connection, limits.seconds):
            found(tasks)
        connection.commit()
    except duckdb.Error as error:
        connection.rollback()
        return reason_of(error, limits)
    return None


def reason_of(error: duckdb.Error, limits: Limits) -> str:
    """Why a rule was not evaluated, in Chinese."""
    if isinstance(error, duckdb.InterruptException):
        return f"超过单条规则的时限 {limits.seconds:g} 秒，已停止"
    if isinstance(error, duckdb.OutOfMemoryException):
        return f"超过内存限额 {limits.memory}，已停止"
    return "执行出错：" + str(error).splitlines()[0]


@contextmanager
def stopped_after(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupts what the connection does after some seconds."""
    timer = threading.Timer(seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # it must not interrupt what comes next


def _scan(connection: duckdb.DuckDBPyConnection, rows: Rows, tasks: Sequence[Task]) -> None:
    """The one scan: ``pass`` has a row a partition and department, with counts and failing rows of every rule."""
    day = TABLES[rows.table].day or "NULL::DATE"
    columns, checked, failed, mask = [], [], [], []
    for number, task in enumerate(tasks):
        columns.append(f"({task.condition}) IS TRUE AS f{number}")
        failed.append(f"count_if(f{number})")
        mask.append(f"(f{number}::UBIGINT << {number})")
        if task.checked == "true":
            checked.append("count(*)")
        else:
            columns.append(f"({task.checked}) IS TRUE AS k{number}")
            checked.append(f"count_if(k{number})")
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE pass AS
        SELECT partition_on, department_code, [{", ".join(checked)}]::BIGINT[] AS checked, [{", ".join(failed)}]::BIGINT[] AS failed,
            list({{'row_id': row_id, 'mask': mask}}) FILTER (mask > 0) AS hits
        FROM (
            SELECT *, {" | ".join(mask)} AS mask
            FROM (
                SELECT t.rowid AS row_id, {day} AS partition_on, {rows.department} AS department_code,
                    {", ".join(columns)}
                FROM {rows.place} AS t WHERE {rows.condition}
            )
        )
        GROUP BY ALL
        """
    )


def _count(connection: duckdb.DuckDBPyConnection, table: str, tasks: Sequence[Task], into: str) -> None:
    names = [task.rule.id for task in tasks]
    connection.execute(
        f"INSERT INTO {into} SELECT $names[i], $table, partition_on, department_code, checked[i], failed[i] FROM pass, range(1, $n + 1) AS r(i)",
        {"names": names, "table": table, "n": len(names)},
    )


def _list(connection: duckdb.DuckDBPyConnection, rows: Rows, tasks: Sequence[Task], limits: Limits, elsewhere: Mapping[str, int]) -> None:
    on, table = TABLES[rows.table], rows.table
    rules = [task.rule for task in tasks]
    names = [rule.id for rule in rules]
    totals = dict(
        connection.execute(
            "SELECT rule_id, sum(rows_failed)::BIGINT FROM found_count WHERE list_contains($names, rule_id) GROUP BY 1 HAVING sum(rows_failed) > 0", {"names": names}
        ).fetchall()
    )
    if not totals:
        return
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE failing AS
        SELECT t.*, h.row.mask AS _mask, h.partition_on AS _day, h.department_code AS _department
        FROM (SELECT partition_on, department_code, unnest(hits) AS row FROM pass WHERE hits IS NOT NULL) AS h
        JOIN (SELECT *, rowid AS _row_id FROM {rows.place}) AS t ON t._row_id = h.row.row_id
        """
    )
    source = on.source or "NULL::VARCHAR"
    first = "coalesce(t._day, DATE '0001-01-01')"  # rows with one key are one violation, of the earliest partition
    for number, rule in enumerate(rules):
        if rule.id not in totals:
            continue
        value = f"CAST(t.{rule.at_fault} AS VARCHAR)" if rule.at_fault else "NULL"
        chosen = sample_condition(sample_bits(totals[rule.id] + elsewhere.get(rule.id, 0), limits.listed), source, on.record_key)
        connection.execute(
            f"""
            INSERT INTO found_violation
            SELECT '{rule.id}', '{table}', {source} AS source, {on.record_key} AS record_key, $field, arg_min({value}, {first}), arg_min(t._department, {first}),
                min(t._day), '{rule.severity}', '{rule.dimension}', arg_min({rule.message_sql}, {first})
            FROM failing AS t WHERE t._mask & {1 << number} > 0 AND {chosen}
            GROUP BY ALL
            """,
            {"field": rule.at_fault},
        )
