"""What the rules found of errors that somebody planted: recall by kind, precision, and the kinds that no rule sees.

The list of planted errors (``docs/sample.md``) says which records were spoilt, the ledger of violations which records
fail which rules; neither knows of the other, and nothing here says which rule belongs to which kind. That is read from
the data: a rule *sees* a kind where it fails for at least a tenth of its records (:data:`SEES`), far above chance, because
one record carries one planted error. Violations that the city has without planted errors too
(its *twin*) are natural: they make no rule see a kind, and are no false alarms. What does not belong here: planting, and rules.
"""

# ruff: noqa: S608 - names of our own tables

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from models.domain.contracts import SUBJECTS, key_of
from models.domain.errors import YiwangError
from quality.catalogue.loading import load_rules
from quality.catalogue.subjects import TABLES

SEES = 0.1
"""Share of a kind's records that fail a rule from which on the rule counts as seeing the kind."""
FITS = 0.9
"""Share of the planted values that a city must hold for the list to be of it; corrections since may have replaced a few."""
_SUPERSEDED = "同步对每个主键只保留一个版本，另一个版本计入“被替代”，不进入数据表"
_UNSEEN = "值本身合理，与其他记录也不矛盾，没有规则能看出"
_GONE = "全部进入隔离区"
_NO_TRACE = "缺的记录在同一办件的其他记录上没有留下破绽，例如办件另有一条同类记录"
_NOT_APPLIED = "规则的适用条件不含这些记录，例如没有可以对照的内容"
_PASSED = "规则查了这些记录，其值与其他记录不矛盾"

_TABLES = """
CREATE TABLE violation AS
SELECT v.rule_id, v.table_name, v.record_key, {natural} AS is_natural,
    CASE v.table_name WHEN 'fct_case' THEN v.record_key WHEN 'fct_case_event' THEN regexp_replace(v.record_key, '/[^/]*$', '')
        ELSE coalesce(c.case_number, r.case_number) END AS case_number
FROM city.marts.quality_violation AS v
LEFT JOIN city.marts.fct_certificate AS c ON v.table_name = 'fct_certificate' AND c.source = v.source AND c.certificate_id = v.record_key
LEFT JOIN city.marts.fct_review AS r ON v.table_name = 'fct_review' AND r.source = v.source AND r.review_id = v.record_key
WHERE v.healed_at IS NULL;

CREATE TABLE planted AS
WITH error AS (
    SELECT subject, kind, key, change, parse_filename(file) AS file, file_row, list_sort(list(DISTINCT field)) AS fields,
        any_value(right_value) FILTER (field = 'case_number') AS right_case,  -- the case to which it belonged before
        any_value(right_value) FILTER (change = 'row_missing') AS right_row
    FROM read_parquet($ledger) GROUP BY ALL
), aside AS (
    SELECT DISTINCT ON (subject, file, file_row) subject, parse_filename(file) AS file, file_row, raw ->> 'case_number' AS case_number FROM city.marts.quarantine
)
SELECT row_number() OVER () AS id, e.* EXCLUDE (right_row), t.table_name, a.file IS NOT NULL AS is_quarantined,
    CASE e.subject WHEN 'case' THEN e.key WHEN 'case_event' THEN regexp_replace(e.key, '/[^/]*$', '')
        ELSE coalesce(e.right_row ->> 'case_number', c.case_number, r.case_number, a.case_number) END AS case_number
FROM error AS e
JOIN checked AS t USING (subject)
LEFT JOIN aside AS a ON a.subject = e.subject AND a.file = e.file AND a.file_row = e.file_row
LEFT JOIN city.marts.fct_certificate AS c ON e.subject = 'certificate' AND c.certificate_id = e.key
LEFT JOIN city.marts.fct_review AS r ON e.subject = 'review' AND r.review_id = e.key;

CREATE TABLE spoilt AS SELECT case_number FROM planted UNION SELECT right_case FROM planted;

-- a record fails; or one of the case of a record that is not there
CREATE TABLE hit AS
SELECT DISTINCT p.id, v.rule_id, v.is_natural FROM planted AS p JOIN violation AS v ON p.table_name = v.table_name AND p.key = v.record_key
WHERE p.change <> 'row_missing'
UNION
SELECT p.id, v.rule_id, false FROM planted AS p JOIN violation AS v ON p.case_number = v.case_number
WHERE p.change = 'row_missing' AND NOT v.is_natural AND (v.table_name, v.record_key) NOT IN (SELECT (table_name, key) FROM planted WHERE key IS NOT NULL);

CREATE TABLE seeing AS
SELECT kind, fields, rule_id, count(*) AS hits
FROM hit JOIN planted AS p USING (id) JOIN (SELECT kind, fields, count(*) AS records FROM planted WHERE NOT is_quarantined GROUP BY ALL) AS n USING (kind, fields)
WHERE NOT p.is_quarantined AND NOT is_natural GROUP BY kind, fields, rule_id, records HAVING count(*) >= $sees * records;
"""
_KINDS = """
SELECT p.kind, p.subject, p.fields, p.change, count(*) AS records, count_if(p.is_quarantined) AS aside, count_if(NOT p.is_quarantined AND f.id IS NOT NULL) AS found,
    coalesce(any_value(s.rules), []) AS rules
FROM planted AS p
LEFT JOIN (SELECT kind, fields, list(rule_id ORDER BY hits DESC, rule_id) AS rules FROM seeing GROUP BY ALL) AS s USING (kind, fields)
LEFT JOIN (SELECT DISTINCT h.id FROM hit AS h JOIN planted AS p USING (id) JOIN seeing AS s ON s.kind = p.kind AND s.fields = p.fields AND s.rule_id = h.rule_id) AS f USING (id)
GROUP BY ALL ORDER BY p.subject, p.kind, p.fields
"""
_MISSED = """
CREATE TABLE missed AS
SELECT p.id, p.kind, p.change, p.table_name, p.key, s.rules
FROM planted AS p JOIN (SELECT kind, fields, list(rule_id) AS rules FROM seeing GROUP BY ALL) AS s USING (kind, fields)
WHERE NOT p.is_quarantined AND NOT EXISTS (SELECT 1 FROM hit AS h WHERE h.id = p.id AND list_contains(s.rules, h.rule_id))
"""
_HELD = """
SELECT count(*), count(c.values), count(*) FILTER (c.values IS NOT NULL AND e.planted_value IS NOT DISTINCT FROM c.values[e.field])
FROM (SELECT * FROM read_parquet($ledger) WHERE subject = $subject AND change = 'value' AND key IS NOT NULL AND list_contains($fields, field)) AS e
LEFT JOIN (SELECT {key} AS key, MAP {{{values}}} AS values FROM {city}.marts.{table} AS t) AS c USING (key)
WHERE (e.subject, parse_filename(e.file), e.file_row) NOT IN (SELECT (subject, parse_filename(file), file_row) FROM {city}.marts.quarantine)
"""
_ALARMS = """
SELECT rule_id, count(*), count_if(is_planted), count_if(NOT is_planted AND is_related), count_if(NOT is_planted AND NOT is_related AND is_natural),
    count_if(NOT is_planted AND NOT is_related AND NOT is_natural)
FROM (
    SELECT rule_id, is_natural, (table_name, record_key) IN (SELECT (table_name, key) FROM planted WHERE key IS NOT NULL) AS is_planted,
        coalesce(case_number IN (SELECT case_number FROM spoilt WHERE case_number IS NOT NULL), false) AS is_related
    FROM violation
)
GROUP BY rule_id ORDER BY rule_id
"""


@dataclass(frozen=True)
class Kind:
    """A kind of planted errors.

    Attributes:
        kind: Its name in the list.
        subject: Subject of its records.
        planted: Records that were spoilt.
        quarantined: Those that the sync set aside: no rule gets to see them.
        seen: Those that a rule of :attr:`rules` is there to see: all others, or none where no rule sees the kind.
        found: Those that fail one of :attr:`rules`.
        rules: Rules that see the kind, the most telling first.
        reason: Why no rule sees it, or some of it, in Chinese; None where rules see all.
        missed: Why records that are seen were not found, in Chinese → how many; they add up to ``seen - found``.
    """

    kind: str
    subject: str
    planted: int
    quarantined: int
    seen: int
    found: int
    rules: tuple[str, ...]
    reason: str | None
    missed: dict[str, int]

    @property
    def recall(self) -> float | None:
        """Share of the seen records that were found; None where no rule sees the kind."""
        return self.found / self.seen if self.seen else None


@dataclass(frozen=True)
class Alarm:
    """What a rule said.

    Attributes:
        rule: The rule.
        violations: Records that fail it.
        planted: Those that are planted errors themselves.
        related: Those of a case to which a planted error belongs: what the error leads to.
        natural: Those that fail it in the same city without planted errors too.
        wrong: All others.
    """

    rule: str
    violations: int
    planted: int
    related: int
    natural: int
    wrong: int


@dataclass(frozen=True)
class Scoring:
    """Planted errors against the violations.

    Attributes:
        kinds: Every kind of the list.
        alarms: Every rule that some record fails.
    """

    kinds: tuple[Kind, ...]
    alarms: tuple[Alarm, ...]

    @property
    def recall(self) -> float:
        """Share found of all records whose kind a rule sees."""
        return sum(kind.found for kind in self.kinds) / max(1, sum(kind.seen for kind in self.kinds))

    @property
    def precision(self) -> float:
        """Share of the violations, natural ones apart, that a planted error explains: itself, or one of its case."""
        right = sum(alarm.planted + alarm.related for alarm in self.alarms)
        return right / max(1, right + sum(alarm.wrong for alarm in self.alarms))

    def precision_of(self, kind: Kind) -> float | None:
        """:attr:`precision` of the rules that see a kind; None where none does."""
        alarms = [alarm for alarm in self.alarms if alarm.rule in kind.rules]
        right = sum(alarm.planted + alarm.related for alarm in alarms)
        return right / (right + sum(alarm.wrong for alarm in alarms)) if alarms else None


def score(ledger: Path, marts: Path, twin: Path | None = None) -> Scoring:
    """Compares a list of planted errors with the ledger of violations.

    Args:
        ledger: ``planted_errors.parquet`` of the sample city.
        marts: Published snapshot of that city.
        twin: Published snapshot of the same city without planted errors: what fails there too is natural. None: nothing is.

    Raises:
        YiwangError: YW-QUALITY-005 when a file cannot be read or has no ledger, when the list is of another city, when the twin is.
    """
    try:
        with duckdb.connect() as connection:
            for name, path in (("city", marts), ("twin", twin)):
                if path is not None:
                    connection.execute(f"ATTACH '{_literal(path)}' AS {name} (READ_ONLY)")
            connection.execute("CREATE TABLE checked (subject VARCHAR, table_name VARCHAR)")
            connection.executemany("INSERT INTO checked VALUES (?, ?)", [(on.subject, table) for table, on in TABLES.items()])
            natural = "(v.rule_id, v.table_name, v.record_key) IN (SELECT (rule_id, table_name, record_key) FROM twin.marts.quality_violation WHERE healed_at IS NULL)"
            for statement in _TABLES.format(natural=natural if twin else "false").split(";\n"):
                given: dict[str, object] = {"ledger": str(ledger)} if "$ledger" in statement else {"sees": SEES} if "$sees" in statement else {}
                if statement.strip():
                    connection.execute(statement, given)
            _same_city(connection, ledger, twin is not None)
            groups = connection.execute(_KINDS).fetchall()
            alarms = connection.execute(_ALARMS).fetchall()
            connection.execute(_MISSED)
            missed = _why_missed(connection)
    except duckdb.Error as error:
        raise YiwangError("YW-QUALITY-005", path=ledger, detail=str(error).splitlines()[0]) from error
    kinds: dict[str, list[tuple[Any, ...]]] = {}
    for kind, *group in groups:
        kinds.setdefault(kind, []).append(tuple(group))
    return Scoring(tuple(_kind(kind, parts, missed.get(kind, {})) for kind, parts in kinds.items()), tuple(Alarm(*alarm) for alarm in alarms))


def _same_city(connection: duckdb.DuckDBPyConnection, ledger: Path, has_twin: bool) -> None:
    """Refuses a list of another city, and a twin that is none: the planted values are in the city, their records in the twin, the values not."""
    for name in ("city", "twin")[: 1 + has_twin]:
        planted = there = held = 0
        for table, on in TABLES.items():
            if on.subject not in SUBJECTS:
                continue
            # what the sync takes as it stands: no instants, nothing masked; a department that is missing is filled in from the matter
            query = """SELECT column_name FROM duckdb_columns() WHERE database_name = ? AND schema_name = 'marts' AND table_name = ?
                AND (data_type IN ('VARCHAR', 'DATE', 'BOOLEAN') OR data_type LIKE '%INT%')"""
            fields = [row[0] for row in connection.execute(query, [name, table]).fetchall()]
            if not fields:
                continue
            values = ", ".join(f"'{field}': CAST(t.{field} AS VARCHAR)" for field in fields)
            counts = connection.execute(
                _HELD.format(key=on.record_key, values=values, city=name, table=table), {"ledger": str(ledger), "subject": on.subject, "fields": fields}
            ).fetchall()[0]
            planted, there, held = planted + counts[0], there + counts[1], held + counts[2]
        if name == "city" and held < FITS * planted:
            detail = f"清单所记的 {planted:,} 个值中只有 {held:,} 个在该数据目录的数据里，清单属于另一城市，或数据此后改过"
        elif name == "twin" and held > (1 - FITS) * planted:
            detail = f"--twin 的数据里也有清单所记的 {planted:,} 个值中的 {held:,} 个，它不是不植入错误的城市"
        elif name == "twin" and there < (1 - FITS) * planted:
            detail = f"清单所记的 {planted:,} 条记录中只有 {there:,} 条在 --twin 的数据里，它是另一城市"
        else:
            continue
        raise YiwangError("YW-QUALITY-005", path=ledger, detail=detail)


def _why_missed(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, int]]:
    """Kind → why rules that see it did not find some of its records → how many."""
    named = {row[0] for row in connection.execute("SELECT DISTINCT unnest(rules) FROM missed").fetchall()}
    here = connection.execute("SELECT current_database() || '.' || current_schema()").fetchall()[0][0]
    connection.execute("CREATE TABLE looked_at (id BIGINT); USE city")  # rules name marts, not files
    for rule in load_rules():
        if rule.id in named:
            connection.execute(
                f"""INSERT INTO {here}.looked_at SELECT m.id FROM {here}.missed AS m JOIN (SELECT *, {rule.on.record_key} AS _key FROM marts.{rule.table} AS t) AS t
                ON m.table_name = '{rule.table}' AND m.key = t._key WHERE list_contains(m.rules, '{rule.id}') AND ({rule.checked})"""
            )
    connection.execute(f"USE {here}")
    why: dict[str, dict[str, int]] = {}
    query = """SELECT kind, CASE WHEN change = 'row_missing' THEN $lost WHEN id IN (SELECT id FROM looked_at) THEN $passed ELSE $outside END AS why, count(*)
        FROM missed GROUP BY ALL ORDER BY ALL"""
    for kind, reason, count in connection.execute(query, {"lost": _NO_TRACE, "passed": _PASSED, "outside": _NOT_APPLIED}).fetchall():
        why.setdefault(kind, {})[reason] = count
    return why


def _kind(kind: str, groups: Sequence[tuple[Any, ...]], missed: dict[str, int]) -> Kind:
    """One kind, whose errors may lie in several fields, each seen by rules of its own."""
    seen = found = planted = quarantined = 0
    rules: list[str] = []
    reasons: list[str] = []
    subject = groups[0][0]
    for _, fields, change, records, aside, hits, seeing in groups:
        planted, quarantined = planted + records, quarantined + aside
        if seeing:
            seen, found = seen + records - aside, found + hits
            rules += [rule for rule in seeing if rule not in rules]
        elif aside == records:
            reasons.append(_GONE)
        elif change == "row_added" and not set(fields) & set(key_of(SUBJECTS[subject])):
            reasons.append(_SUPERSEDED)
        else:
            reasons.append(_UNSEEN)
    return Kind(kind, subject, planted, quarantined, seen, found, tuple(rules), "；".join(dict.fromkeys(reasons)) or None, missed)


def _literal(path: Path) -> str:
    return str(path).replace("'", "''")
