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
from quality.catalogue.subjects import TABLES

SEES = 0.1
"""Share of a kind's records that fail a rule from which on the rule counts as seeing the kind."""
_SUPERSEDED = "同步对每个主键只保留一个版本，另一个版本计入“被替代”，不进入数据表"
_UNSEEN = "值本身合理，与其他记录也不矛盾，没有规则能看出"
_GONE = "全部进入隔离区"

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
    """

    kind: str
    subject: str
    planted: int
    quarantined: int
    seen: int
    found: int
    rules: tuple[str, ...]
    reason: str | None

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
        YiwangError: YW-QUALITY-005 when a file cannot be read or has no ledger.
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
            groups = connection.execute(_KINDS).fetchall()
            alarms = connection.execute(_ALARMS).fetchall()
    except duckdb.Error as error:
        raise YiwangError("YW-QUALITY-005", path=ledger, detail=str(error).splitlines()[0]) from error
    kinds: dict[str, list[tuple[Any, ...]]] = {}
    for kind, *group in groups:
        kinds.setdefault(kind, []).append(tuple(group))
    return Scoring(tuple(_kind(kind, parts) for kind, parts in kinds.items()), tuple(Alarm(*alarm) for alarm in alarms))


def _kind(kind: str, groups: Sequence[tuple[Any, ...]]) -> Kind:
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
    return Kind(kind, subject, planted, quarantined, seen, found, tuple(rules), "；".join(dict.fromkeys(reasons)) or None)


def _literal(path: Path) -> str:
    return str(path).replace("'", "''")
