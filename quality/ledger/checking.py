"""One run of the rules: what has to be evaluated, in which passes, and how it goes into the ledger."""

# ruff: noqa: S608 - names come from the catalogue or are made here

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property

import duckdb
import pyarrow as pa

from models.domain.calendar import WorkCalendar
from quality.catalogue.model import Rule
from quality.catalogue.subjects import TABLES
from quality.engine.evaluation import Limits, Rows, Task, evaluate, prepare, reason_of, sample_bits, stopped_after
from quality.engine.reading import Reading, reading_of
from quality.ledger import changes, merge
from quality.ledger.changes import Partition
from quality.ledger.partitions import PartitionCheck, check_partitions, note_checks
from quality.ledger.tables import open_ledger

VERSION = "1"
"""To be raised when the engine's or the ledger's meaning changes: every rule is then evaluated anew."""
_MOSTLY = 0.5
"""Share of a mart's rows from which on looking at all of them costs less than narrowing."""


@dataclass
class Outcome:
    """What a run of the rules did.

    Attributes:
        evaluated: Rule → partitions that were evaluated; None where all rows were.
        failed: Rule that was not evaluated → why, in Chinese.
        partitions: What became of the expected partitions.
        rows: Rows of marts that were looked at.
    """

    evaluated: dict[str, set[Partition] | None] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    partitions: list[PartitionCheck] = field(default_factory=list)
    rows: int = 0


@dataclass(frozen=True)
class _Prepared:
    """A rule, what it reads, and the state of what it reads."""

    rule: Rule
    reading: Reading
    checked: Reading
    department: Reading
    fingerprint: str

    @cached_property
    def of_case(self) -> frozenset[str]:
        return self.reading.of_case | self.checked.of_case | self.department.of_case

    @cached_property
    def of_day(self) -> frozenset[str]:
        return self.reading.of_day | self.checked.of_day | self.department.of_day

    @cached_property
    def tables(self) -> frozenset[str]:
        return self.reading.tables | self.checked.tables | self.department.tables

    @cached_property
    def inputs(self) -> dict[str, str]:
        return self.reading.inputs | self.checked.inputs | self.department.inputs

    @property
    def is_open(self) -> bool:
        return self.reading.is_open or self.checked.is_open or self.department.is_open

    def task(self, scoped: bool) -> Task:
        return Task(self.rule, self.reading.scoped, self.checked.scoped) if scoped else Task(self.rule, self.reading.whole, self.checked.whole)


class Checking:
    """One run of the rules over open marts; :meth:`run` is all there is to it.

    Args:
        connection: The masked marts, open for writing, in the zone in which instants become days.
        run_id: Run in hand.
        as_of: Instant on which it stands.
        rules: The rules.
        limits: What one rule may take.
        left: Mart of cases → source and case number of rows that were replaced or deleted since the last check; None when
            that is not known, whereupon rules that look at other rows of a case are evaluated in full.
        calendar: The city's working days.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, run_id: str, as_of: datetime, rules: Sequence[Rule], limits: Limits,
        left: Mapping[str, pa.Table] | None, calendar: WorkCalendar,
    ) -> None:  # fmt: skip
        self._connection, self._run_id, self._as_of, self._rules = connection, run_id, as_of, list(rules)
        self._limits, self._left, self._calendar = limits, left, calendar
        self._outcome = Outcome()
        self._missing: dict[str, str] = {}
        self._digests: dict[str, str] = {}

    def run(self) -> Outcome:
        """Evaluates what has to be and brings the ledger up to it."""
        open_ledger(self._connection)
        prepare(self._connection)
        prepared = self._prepared()
        tables = sorted({p.rule.table for p in prepared} | {table for p in prepared for table in p.tables})
        changes.note_partitions(self._connection, tables)
        changed = {table: changes.changed_partitions(self._connection, table, self._run_id) for table in tables}
        for rule_id, sql in [(p.rule.id, p.inputs) for p in prepared]:
            self._hold(rule_id, sql)
        before = self._before()
        ready = [p for p in prepared if p.rule.id not in self._outcome.failed]
        whole = [p for p in ready if self._is_whole(p, before.get(p.rule.id), changed)]
        names = {p.rule.id for p in whole}
        partial, partitions = self._narrowed([p for p in ready if p.rule.id not in names], changed, whole)
        self._evaluate_whole(whole)
        self._evaluate_partial(partial, partitions, before)
        self._merge(prepared, before)
        return self._outcome

    def _prepared(self) -> list[_Prepared]:
        """The rules whose marts are there."""
        there = {row[0] for row in self._connection.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'marts'").fetchall()}
        departments: dict[str, Reading] = {}
        prepared = []
        for rule in self._rules:
            if rule.table not in there:
                self._missing[rule.id] = f"数据表 {rule.table} 不存在"
                continue
            try:
                if rule.table not in departments:
                    departments[rule.table] = reading_of(TABLES[rule.table].department or "NULL::VARCHAR", rule.table, self._connection)
                department = departments[rule.table]
                reading, checked = (reading_of(sql, rule.table, self._connection) for sql in (rule.condition, rule.checked))
            except duckdb.CatalogException as error:
                self._missing[rule.id] = "读取的数据表不存在：" + str(error).splitlines()[0]
                continue
            if lacking := sorted((reading.tables | checked.tables | department.tables) - there):
                self._missing[rule.id] = f"数据表 {'、'.join(lacking)} 不存在"
                continue
            prepared.append(_Prepared(rule, reading, checked, department, _fingerprint(rule, self._limits)))
        return prepared

    def _hold(self, rule_id: str, inputs: Mapping[str, str]) -> None:
        """Keeps the answers of queries on which the rule depends, and a digest of each; a query that runs away stops its rule alone."""
        for name, sql in inputs.items():
            if name in self._digests:
                continue
            try:
                with stopped_after(self._connection, self._limits.seconds):
                    self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")
                    row = self._connection.execute(f"SELECT count(*) || ':' || coalesce(sum(hash(i)::HUGEINT), 0) FROM temp.main.{name} AS i").fetchall()[0]
                self._digests[name] = row[0]
            except duckdb.Error as error:
                self._outcome.failed[rule_id] = reason_of(error, self._limits)
                return

    def _before(self) -> dict[str, tuple[str, str, str | None, int]]:
        """Rule → fingerprint, status, inputs and sample of its last evaluation."""
        query = "SELECT rule_id, fingerprint, status, inputs, sampled FROM marts.quality_rule"
        return {row[0]: row[1:] for row in self._connection.execute(query).fetchall()}

    def _inputs(self, p: _Prepared) -> str:
        return " ".join(f"{name}={self._digests.get(name)}" for name in sorted(p.inputs))

    def _is_whole(self, p: _Prepared, before: tuple[str, str, str | None, int] | None, changed: Mapping[str, set[Partition]]) -> bool:
        if before is None or before[:3] != (p.fingerprint, "evaluated", self._inputs(p)):
            return True
        elsewhere = any(changed[table] for table in p.tables | {p.rule.table})
        return elsewhere and (p.is_open or (bool(p.of_case) and self._left is None))

    def _narrowed(
        self, rest: list[_Prepared], changed: Mapping[str, set[Partition]], whole: list[_Prepared]
    ) -> tuple[dict[str, list[_Prepared]], dict[str, set[Partition]]]:
        """Mart → rules that only some partitions concern, and which; what concerns most of a mart moves to ``whole``."""
        by_table: dict[str, list[_Prepared]] = {}
        for p in rest:
            by_table.setdefault(p.rule.table, []).append(p)
        for table in sorted({table for p in rest for table in p.of_case}):
            changes.note_cases(self._connection, table, self._run_id, self._left or {})
        partitions = {}
        for table, rules in list(by_table.items()):
            found = changed[table] | changes.partitions_of_cases(self._connection, table, frozenset().union(*(p.of_case for p in rules)))
            found = found.union(*(changed[other] for p in rules for other in p.of_day))
            counts = dict(self._connection.execute("SELECT partition_on, row_count FROM now_partition WHERE table_name = ?", [table]).fetchall())
            if sum(counts.get(partition, 0) for partition in found) > _MOSTLY * sum(counts.values()):
                whole += by_table.pop(table)
            elif found:
                partitions[table] = found
            else:
                by_table.pop(table)
        return by_table, partitions

    def _evaluate_whole(self, whole: list[_Prepared]) -> None:
        for table in dict.fromkeys(p.rule.table for p in whole):
            rules = [p for p in whole if p.rule.table == table]
            self._outcome.failed |= evaluate(
                self._connection, Rows(table, "true", rules[0].department.whole), [p.task(scoped=False) for p in rules], self._limits
            )
            self._outcome.evaluated |= {p.rule.id: None for p in rules}
            self._outcome.rows += self._count(table, None)

    def _evaluate_partial(
        self, partial: Mapping[str, list[_Prepared]], partitions: Mapping[str, set[Partition]], before: Mapping[str, tuple[str, str, str | None, int]]
    ) -> None:
        conditions = {table: changes.rows_in(table, partitions[table]) for table in partial}
        reads = frozenset(table for rules in partial.values() for p in rules for table in p.of_case)
        changes.scope_cases(self._connection, conditions, reads)
        for table, rules in partial.items():
            elsewhere = merge.violations_elsewhere(self._connection, table, partitions[table])
            rows = Rows(table, conditions[table], rules[0].department.scoped)
            self._outcome.failed |= evaluate(self._connection, rows, [p.task(scoped=True) for p in rules], self._limits, elsewhere)
            self._outcome.evaluated |= {p.rule.id: partitions[table] for p in rules}
            self._outcome.rows += self._count(table, partitions[table])
            totals = self._totals(elsewhere)
            # fewer violations than before: a larger share of them is to be listed, also where nothing changed
            if grown := [p for p in rules if 2 ** sample_bits(totals.get(p.rule.id, 0), self._limits.listed) < before[p.rule.id][3]]:
                for found in ("found_count", "found_violation"):
                    self._connection.execute(f"DELETE FROM {found} WHERE list_contains($rules, rule_id)", {"rules": [p.rule.id for p in grown]})
                self._evaluate_whole(grown)

    def _count(self, table: str, partitions: set[Partition] | None) -> int:
        rows = self._connection.execute("SELECT partition_on, row_count FROM now_partition WHERE table_name = ?", [table]).fetchall()
        return sum(count for partition, count in rows if partitions is None or partition in partitions)

    def _totals(self, elsewhere: Mapping[str, int]) -> dict[str, int]:
        found = dict(self._connection.execute("SELECT rule_id, sum(rows_failed)::BIGINT FROM found_count GROUP BY 1").fetchall())
        return {rule: found.get(rule, 0) + elsewhere.get(rule, 0) for rule in {*found, *elsewhere}}

    def _merge(self, prepared: list[_Prepared], before: Mapping[str, object]) -> None:
        connection, outcome = self._connection, self._outcome
        evaluated = {rule: partitions for rule, partitions in outcome.evaluated.items() if rule not in outcome.failed}
        tables = {p.rule.id: p.rule.table for p in prepared}
        partial: dict[str, tuple[list[str], set[Partition]]] = {}
        for rule, partitions in evaluated.items():
            if partitions is not None:
                partial.setdefault(tables[rule], ([], partitions))[0].append(rule)
        open_rules = {row[0] for row in connection.execute("SELECT DISTINCT rule_id FROM marts.quality_violation WHERE healed_at IS NULL").fetchall()}
        gone = sorted({*before, *open_rules} - {rule.id for rule in self._rules})
        connection.begin()
        merge.note_scope(connection, [rule for rule, partitions in evaluated.items() if partitions is None] + gone, partial)
        sampled = self._sampled(evaluated, partial)
        merge.merge_violations(connection, self._run_id, self._as_of, sampled)
        merge.merge_counts(connection, self._run_id, [p.rule for p in prepared], sampled)
        merge.note_not_evaluated(connection, self._run_id, [r for r in self._rules if r.id in outcome.failed], "not_evaluated", outcome.failed)
        merge.note_not_evaluated(connection, self._run_id, [r for r in self._rules if r.id in self._missing], "missing", self._missing)
        outcome.evaluated = evaluated
        outcome.failed |= self._missing
        self._note_rules(prepared, sampled)
        connection.execute("DELETE FROM marts.quality_partition")
        connection.execute("INSERT INTO marts.quality_partition SELECT *, $run FROM now_partition ORDER BY ALL", {"run": self._run_id})
        there = sorted({p.rule.table for p in prepared})
        outcome.partitions = check_partitions(connection, there, self._today(), self._calendar)
        note_checks(connection, self._run_id, outcome.partitions)
        merge.note_day(connection, self._as_of)
        connection.commit()

    def _today(self) -> date:
        today: date = self._connection.execute("SELECT $as_of::TIMESTAMPTZ::DATE", {"as_of": self._as_of}).fetchall()[0][0]
        return today

    def _sampled(self, evaluated: Mapping[str, object], partial: Mapping[str, tuple[list[str], set[Partition]]]) -> dict[str, int]:
        """Rule of which only a sample is listed → binary digits of the sample."""
        elsewhere: dict[str, int] = {}
        for table, (rules, partitions) in partial.items():
            elsewhere |= {rule: count for rule, count in merge.violations_elsewhere(self._connection, table, partitions).items() if rule in rules}
        totals = self._totals(elsewhere)
        return {rule: bits for rule in evaluated if (bits := sample_bits(totals.get(rule, 0), self._limits.listed))}

    def _note_rules(self, prepared: list[_Prepared], sampled: Mapping[str, int]) -> None:
        known = {p.rule.id: p for p in prepared}
        rows = []
        kept = dict(self._connection.execute("SELECT rule_id, sampled FROM marts.quality_rule").fetchall())
        for r in self._rules:
            p, reason = known.get(r.id), self._outcome.failed.get(r.id)
            status = "missing" if r.id in self._missing else "not_evaluated" if reason else "evaluated"
            share = 2 ** sampled[r.id] if r.id in sampled else 1 if r.id in self._outcome.evaluated else kept.get(r.id, 1)
            rows.append({
                "rule_id": r.id, "table_name": r.table, "subject": r.subject, "dimension": r.dimension, "severity": r.severity, "gate": r.gate,
                "title": r.title, "owner": r.owner, "standard": r.standard, "clause": r.clause, "run_id": self._run_id, "status": status,
                "reason": reason, "sampled": share, "fingerprint": p.fingerprint if p else "", "inputs": self._inputs(p) if p else None,
            })  # fmt: skip
        self._connection.execute("DELETE FROM marts.quality_rule")
        if rows:
            self._connection.register("rules_now", pa.Table.from_pylist(rows))
            self._connection.execute("INSERT INTO marts.quality_rule BY NAME FROM rules_now")
            self._connection.unregister("rules_now")


def _fingerprint(rule: Rule, limits: Limits) -> str:
    """Of everything that decides what the ledger says of a rule's rows."""
    on = TABLES[rule.table]
    parts = (VERSION, rule.condition, rule.checked, rule.message_sql, rule.at_fault, rule.severity, rule.dimension, rule.subject, rule.table, on, limits.listed)
    return hashlib.sha256(repr(parts).encode()).hexdigest()
