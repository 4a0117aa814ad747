"""The rules as Great Expectations shows and recounts them.

Every rule that was evaluated is an expectation, in each run. Where it looks decides what it costs:

- evaluated over all rows: the mart itself;
- evaluated over some partitions, reading no other row: the rows of those partitions;
- the others (nothing changed, or the rule would read whole marts again for a few rows): the ledger.

Each count is compared with the ledger's own; a difference stops the run, as one of the two is wrong.
"""

# ruff: noqa: S608 - conditions and rule ids come from the catalogue

from collections.abc import Mapping, Sequence

import duckdb

from models.domain.codes import code_tables
from models.domain.errors import YiwangError
from quality.catalogue.model import DIMENSIONS, SEVERITIES, Rule
from quality.catalogue.subjects import TABLES
from quality.ledger.changes import Partition, rows_in
from quality.suite import Expectation

_LEDGER = "quality_violation"


def expectations_of(rules: Sequence[Rule], evaluated: Mapping[str, set[Partition] | None], failed: Mapping[str, str]) -> list[Expectation]:
    """The expectations of a run; none for a rule that could not be evaluated.

    Args:
        rules: The rules.
        evaluated: Rule → partitions that were evaluated, None for all rows; rules that had nothing to evaluate are left out.
        failed: Rules that could not be evaluated.
    """
    found = []
    for rule in rules:
        if rule.id in failed:
            continue
        notes = f"{rule.id} · {DIMENSIONS[rule.dimension]} · {SEVERITIES[rule.severity]} · {rule.standard} {rule.clause}"
        partitions = evaluated.get(rule.id, set())
        if partitions is None:
            kind, values = _built_in(rule)
            found.append(Expectation(rule.id, rule.table, rule.condition, None, kind, rule.columns if kind else (), values, rule.title, notes))
        elif partitions and "select" not in rule.condition.lower():
            found.append(Expectation(rule.id, rule.table, rule.condition, rows_in(rule.table, partitions), title=rule.title, notes=notes + " · 有变化的分区"))
        else:
            condition = f"t.rule_id = '{rule.id}' AND t.healed_at IS NULL"
            found.append(Expectation(rule.id, _LEDGER, condition, title=rule.title, notes=notes + " · 问题台账"))
    return found


def expected_counts(connection: duckdb.DuckDBPyConnection, expectations: Sequence[Expectation]) -> dict[str, int]:
    """Rule → what the ledger holds of the rows at which its expectation looks."""
    counts: dict[str, int] = {}
    checked = dict(connection.execute("SELECT rule_id, sum(rows_failed)::BIGINT FROM marts.quality_check GROUP BY 1").fetchall())
    listed = dict(connection.execute("SELECT rule_id, sum(rows_listed)::BIGINT FROM marts.quality_check GROUP BY 1").fetchall())
    by_rows: dict[tuple[str, str], list[str]] = {}
    for one in expectations:
        if one.rows is not None:
            by_rows.setdefault((one.table, one.rows), []).append(one.name)
        else:
            counts[one.name] = (listed if one.table == _LEDGER else checked).get(one.name, 0)
    for (table, rows), names in by_rows.items():
        there = rows.replace(f"({TABLES[table].day})", "(partition_on)")
        query = f"SELECT rule_id, sum(rows_failed)::BIGINT FROM marts.quality_check WHERE list_contains($names, rule_id) AND {there} GROUP BY 1"
        counts |= dict.fromkeys(names, 0) | dict(connection.execute(query, {"names": names}).fetchall())
    return counts


def compare(expected: Mapping[str, int], found: Mapping[str, int]) -> None:
    """Refuses counts that differ.

    Raises:
        YiwangError: YW-QUALITY-004 with the rules that differ.
    """
    if different := [f"{rule} {count:,}≠{found.get(rule, 0):,}" for rule, count in expected.items() if found.get(rule) != count]:
        raise YiwangError("YW-QUALITY-004", detail="、".join(different[:5]))


def _built_in(rule: Rule) -> tuple[str | None, tuple[str | int, ...]]:
    """The built-in expectation that counts what the rule counts, if there is one.

    They count by column, and nothing but whole columns: rules over several columns or some rows have none. Regular
    expressions have none on DuckDB.
    """
    if rule.checked != "true":
        return None, ()
    if rule.unique:
        return "unique", ()
    if len(rule.columns) != 1:
        return None, ()
    if rule.required:
        return "required", ()
    if rule.codes:
        return "codes", tuple(sorted(code_tables()[rule.codes[rule.columns[0]]]))
    if rule.length:
        return "length", rule.length[rule.columns[0]]
    return None, ()
