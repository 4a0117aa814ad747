"""One run of the rules: what has to be evaluated, in which passes, and how it goes into the ledger."""

# ruff: noqa: S608 - names come from the catalogue or are made here

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property

import duckdb
import pyarrow as pa

from models.domain.calendar import WorkCalendar
from quality.catalogue.model import Rule
from quality.catalogue.subjects import TABLES
from quality.engine.evaluation import Limits, Rows, Task, evaluate, prepare, reason_of, sample_bits, stopped_after
from quality.engine.reading import CASE_TABLES, FORMER, SCOPED, Input, Reading, reading_of
from quality.ledger import changes, merge
from quality.ledger import rows as in_hand
from quality.ledger.changes import Partition
from quality.ledger.partitions import PartitionCheck, check_partitions, note_checks
from quality.ledger.soundness import contradicted
from quality.ledger.tables import EVALUATED, KEPT, keep_answers, kept_answers, open_ledger, stamp

VERSION = "2"
"""To be raised when the engine's or the ledger's meaning changes: every rule is then evaluated anew."""
_MOSTLY = 0.5
"""Share of a mart's rows from which on looking at all of them costs less than narrowing."""


@dataclass
class Outcome:
    """What a run of the rules did.

    Attributes:
        evaluated: Rule → partitions that were evaluated; None where all rows were. Of rules evaluated by rows, the partitions
            most of whose rows were.
        failed: Rule that was not evaluated → why, in Chinese.
        partitions: What became of the expected partitions.
        mended: Rules of which the ledger contradicted itself, as it was found; they were evaluated over all rows.
        rows: Rows of marts that were looked at.
    """

    evaluated: dict[str, set[Partition] | None] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    partitions: list[PartitionCheck] = field(default_factory=list)
    mended: set[str] = field(default_factory=set)
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
    def inputs(self) -> dict[str, Input]:
        return self.reading.inputs | self.checked.inputs | self.department.inputs

    @property
    def is_open(self) -> bool:
        return self.reading.is_open or self.checked.is_open or self.department.is_open

    def task(self, scoped: bool) -> Task:
        return Task(self.rule, self.reading.scoped, self.checked.scoped) if scoped else Task(self.rule, self.reading.whole, self.checked.whole)

    def former_task(self) -> Task:
        return Task(self.rule, self.reading.former_scoped, self.checked.former_scoped)


class Checking:
    """One run of the rules over open marts; :meth:`run` is all there is to it.

    Args:
        connection: The masked marts, open for writing, in the zone in which instants become days.
        run_id: Run in hand.
        as_of: Instant on which it stands.
        rules: The rules.
        limits: What one rule may take.
        left: Mart of cases → source and case number of rows that were replaced or deleted since the last check; None when
            that is not known, whereupon rules that look at other rows of a case are evaluated in full. With it, and the
            published snapshot attached (:func:`quality.ledger.rows.attach_former`), changed rows alone are evaluated.
        calendar: The city's working days.
        silence: Probability below which a department's day without rows is told; 0 tells none.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, run_id: str, as_of: datetime, rules: Sequence[Rule], limits: Limits,
        left: Mapping[str, pa.Table] | None, calendar: WorkCalendar, silence: float = 0,
    ) -> None:  # fmt: skip
        self._connection, self._run_id, self._as_of, self._rules = connection, run_id, as_of, list(rules)
        self._limits, self._left, self._calendar, self._silence = limits, left, calendar, silence
        self._outcome = Outcome()
        self._missing: dict[str, str] = {}
        self._digests: dict[str, str] = {}
        self._kept: dict[str, str] = {}
        self._moved: set[str] = set()
        self._by_rows: set[str] = set()

    def run(self) -> Outcome:
        """Evaluates what has to be and brings the ledger up to it."""
        open_ledger(self._connection)
        prepare(self._connection)
        prepared = self._prepared()
        tables = sorted({p.rule.table for p in prepared} | {table for p in prepared for table in p.tables})
        changes.note_partitions(self._connection, tables)
        changed = {table: changes.changed_partitions(self._connection, table, self._run_id) for table in tables}
        self._kept = kept_answers(self._connection)
        unchanged = frozenset(table for table in tables if not changed[table])
        for p in prepared:
            self._hold(p.rule.id, p.inputs, unchanged)
        before = self._before()
        self._outcome.mended = contradicted(self._connection)
        ready = [p for p in prepared if p.rule.id not in self._outcome.failed]
        whole = [p for p in ready if self._is_whole(p, before.get(p.rule.id), changed)]
        names = {p.rule.id for p in whole}
        rest = self._evaluate_rows([p for p in ready if p.rule.id not in names], changed, before, whole)
        partial, partitions = self._narrowed(rest, changed, whole)
        self._evaluate_whole(whole)
        self._evaluate_partial(partial, partitions, before)
        self._merge(prepared, before)
        return self._outcome

    def _prepared(self) -> list[_Prepared]:
        """The rules whose marts are there."""
        there = {row[0] for row in self._connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = 'marts'").fetchall()}
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

    def _hold(self, rule_id: str, inputs: Mapping[str, Input], unchanged: frozenset[str]) -> None:
        """Keeps the answers of queries on which the rule depends, and a digest of each; a query that runs away stops its rule alone."""
        for name, asked in inputs.items():
            if name in self._digests:
                continue
            if name in self._kept:
                self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {FORMER.format(table=name)} AS FROM {KEPT}.{name}")
            if name in self._kept and asked.tables <= unchanged:
                self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM {KEPT}.{name}")
                self._digests[name] = self._kept[name]
                continue
            try:
                with stopped_after(self._connection, self._limits.seconds):
                    self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {asked.sql}")
                    row = self._connection.execute(f"SELECT count(*) || ':' || coalesce(sum(hash(i)::HUGEINT), 0) FROM temp.main.{name} AS i").fetchall()[0]
                self._digests[name] = row[0]
                if name not in self._kept:  # nothing compares with it but a rule to which it says the same
                    self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {FORMER.format(table=name)} AS FROM temp.main.{name}")
            except duckdb.Error as error:
                self._outcome.failed[rule_id] = reason_of(error, self._limits)
                return

    def _before(self) -> dict[str, tuple[str, str, str | None, int]]:
        """Rule → fingerprint, status, inputs and sample of its last evaluation."""
        query = "SELECT rule_id, fingerprint, status, inputs, sampled FROM marts.quality_rule"
        return {row[0]: row[1:] for row in self._connection.execute(query).fetchall()}

    @staticmethod
    def _inputs(p: _Prepared, digests: Mapping[str, str]) -> str:
        return " ".join(f"{name}={digests.get(name)}" for name in sorted(p.inputs))

    def _is_whole(self, p: _Prepared, before: tuple[str, str, str | None, int] | None, changed: Mapping[str, set[Partition]]) -> bool:
        if before is None or before[0] != p.fingerprint or before[1] not in EVALUATED or p.rule.id in self._outcome.mended:
            return True
        if before[2] != self._inputs(p, self._digests):
            # where the answers say something else can be told if those of then are known
            if before[2] != self._inputs(p, self._kept) or p.department.inputs:
                return True
            self._moved.add(p.rule.id)
        elsewhere = any(changed[table] for table in p.tables | {p.rule.table})
        return elsewhere and (p.is_open or (bool(p.of_case) and self._left is None))

    def _evaluate_rows(
        self, rest: list[_Prepared], changed: Mapping[str, set[Partition]], before: Mapping[str, tuple[str, str, str | None, int]], whole: list[_Prepared]
    ) -> list[_Prepared]:
        """Evaluates the rules of cases for the changed rows alone, if these can be seen as they were; answers the other rules."""
        connection, outcome = self._connection, self._outcome
        rules = {table: [p for p in rest if p.rule.table == table and not p.of_day] for table in CASE_TABLES}
        if self._left is None or not any(changed.get(table) for table in CASE_TABLES) or not in_hand.has_former(connection):
            return rest
        for table in CASE_TABLES:
            changes.note_cases(connection, table, self._run_id, self._left)
        try:
            with stopped_after(connection, self._limits.seconds):
                count = in_hand.note_rows(connection, {table: pairs for table, own in rules.items() if (pairs := [pair for p in own for pair in self._answers_of(p)])})
        except duckdb.Error:  # which rule it was, evaluating partitions tells
            return rest
        if count is None:
            return rest
        marts = [
            in_hand.RowRules(
                Rows(table, "true", own[0].department.scoped, SCOPED.format(table=table)), Rows(table, "true", own[0].department.former_scoped, FORMER.format(table=table)),
                [(p.task(scoped=True), p.former_task()) for p in own],
            )
            for table, own in rules.items() if own
        ]  # fmt: skip
        failed, lost = in_hand.evaluate_rows(connection, marts, self._limits)
        outcome.failed |= failed
        outcome.rows += count
        totals = self._totals(in_hand.violations_outside(connection))
        by_rows = {p.rule.id for own in rules.values() for p in own} - failed.keys() - lost
        # fewer violations than before: a larger share of them is to be listed, also where nothing changed
        grown = {rule for rule in by_rows if 2 ** sample_bits(totals.get(rule, 0), self._limits.listed) < before[rule][3]}
        self._forget(grown)
        whole += [p for p in rest if p.rule.id in grown | lost]
        self._by_rows = by_rows - grown
        for table, own in rules.items():
            mostly = in_hand.mostly_changed(connection, table)
            outcome.evaluated |= {p.rule.id: mostly for p in own if p.rule.id in self._by_rows}
        done = self._by_rows | grown | lost | failed.keys()
        return [p for p in rest if p.rule.id not in done]

    def _forget(self, rules: Collection[str]) -> None:
        """Takes back what was found for rules."""
        for found in ("found_count", "found_violation"):
            self._connection.execute(f"DELETE FROM {found} WHERE list_contains($rules, rule_id)", {"rules": sorted(rules)})

    def _answers_of(self, p: _Prepared) -> list[tuple[str, str]]:
        """Conditions of a rule with the answers of now and with those of then, if they are others."""
        return [(now.whole, now.former) for now in (p.reading, p.checked) if now.inputs] if p.rule.id in self._moved else []

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
            found |= self._of_answers(table, rules, found, whole)
            counts = dict(self._connection.execute("SELECT partition_on, row_count FROM now_partition WHERE table_name = ?", [table]).fetchall())
            if sum(counts.get(partition, 0) for partition in found) > _MOSTLY * sum(counts.values()):
                whole += by_table.pop(table)
            elif found and rules:
                partitions[table] = found
            else:
                by_table.pop(table)
        return by_table, partitions

    def _of_answers(self, table: str, rules: list[_Prepared], known: set[Partition], whole: list[_Prepared]) -> set[Partition]:
        """Partitions that changed answers concern; a rule of which that cannot be told moves to ``whole``."""
        moved = [p for p in rules if p.rule.id in self._moved]
        conditions = [pair for p in moved for pair in self._answers_of(p)]
        if not conditions:
            return set()
        try:
            with stopped_after(self._connection, self._limits.seconds):
                return changes.partitions_of_answers(self._connection, table, conditions, known)
        except duckdb.Error:  # which of them it was, evaluating them tells
            whole += moved
            rules[:] = [p for p in rules if p not in moved]
            return set()

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
                self._forget([p.rule.id for p in grown])
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
            if partitions is not None and rule not in self._by_rows:
                partial.setdefault(tables[rule], ([], partitions))[0].append(rule)
        open_rules = {row[0] for row in connection.execute("SELECT DISTINCT rule_id FROM marts.quality_violation WHERE healed_at IS NULL").fetchall()}
        gone = sorted({*before, *open_rules} - {rule.id for rule in self._rules})
        connection.begin()
        merge.note_scope(connection, [rule for rule, partitions in evaluated.items() if partitions is None] + gone, partial, sorted(self._by_rows & evaluated.keys()))
        sampled = self._sampled(evaluated, partial)
        merge.merge_violations(connection, self._run_id, self._as_of, sampled)
        merge.merge_counts(connection, self._run_id, [p.rule for p in prepared], sampled)
        merge.note_not_evaluated(connection, self._run_id, [r for r in self._rules if r.id in outcome.failed], "not_evaluated", outcome.failed)
        merge.note_not_evaluated(connection, self._run_id, [r for r in self._rules if r.id in self._missing], "missing", self._missing)
        outcome.evaluated = evaluated
        outcome.failed |= self._missing
        outcome.mended &= evaluated.keys()
        self._note_rules(prepared, sampled)
        connection.execute("DELETE FROM marts.quality_partition")
        connection.execute("INSERT INTO marts.quality_partition SELECT *, $run FROM now_partition ORDER BY ALL", {"run": self._run_id})
        keep_answers(connection, self._digests)
        stamp(connection)
        there = sorted({p.rule.table for p in prepared})
        counting = {p.rule.table: p.rule.id for p in prepared if p.rule.checked == "true" and p.rule.id not in outcome.failed}
        outcome.partitions = check_partitions(connection, there, self._today(), self._calendar, counting, self._silence)
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
        if self._by_rows:
            elsewhere |= {rule: count for rule, count in in_hand.violations_outside(self._connection).items() if rule in self._by_rows}
        totals = self._totals(elsewhere)
        return {rule: bits for rule in evaluated if (bits := sample_bits(totals.get(rule, 0), self._limits.listed))}

    def _note_rules(self, prepared: list[_Prepared], sampled: Mapping[str, int]) -> None:
        known = {p.rule.id: p for p in prepared}
        rows = []
        kept = dict(self._connection.execute("SELECT rule_id, sampled FROM marts.quality_rule").fetchall())
        looked = {row[0] for row in self._connection.execute("SELECT rule_id FROM marts.quality_check GROUP BY 1 HAVING sum(rows_checked) > 0").fetchall()}
        for r in self._rules:
            p, reason = known.get(r.id), self._outcome.failed.get(r.id)
            status = "missing" if r.id in self._missing else "not_evaluated" if reason else EVALUATED[r.id not in looked]
            share = 2 ** sampled[r.id] if r.id in sampled else 1 if r.id in self._outcome.evaluated else kept.get(r.id, 1)
            rows.append({
                "rule_id": r.id, "table_name": r.table, "subject": r.subject, "dimension": r.dimension, "severity": r.severity, "gate": r.gate,
                "title": r.title, "owner": r.owner, "standard": r.standard, "clause": r.clause, "remedy": r.advice, "run_id": self._run_id, "status": status,
                "reason": reason, "sampled": share, "fingerprint": p.fingerprint if p else "", "inputs": self._inputs(p, self._digests) if p else None,
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
