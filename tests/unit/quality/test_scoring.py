"""Planted errors against violations: what was found, what cannot be seen and why, what is natural, what is a false alarm."""

from pathlib import Path

import duckdb
import pytest

from models.domain.errors import YiwangError
from quality.ledger.tables import open_ledger
from quality.scoring import Scoring, score
from tests.support.quality_marts import write_good_marts

FILE = "case/part-000.parquet"
"""The file of the fixture's quarantine, rows 1 to 5."""


def write_city(path: Path, violations: list[tuple[str, str, str]]) -> None:
    """Marts whose ledger holds violations: rule, mart, record."""
    write_good_marts(path)
    with duckdb.connect(str(path)) as connection:
        open_ledger(connection)
        connection.executemany(
            "INSERT INTO marts.quality_violation SELECT ?, ?, 'sample', ?, NULL, NULL, NULL, NULL, 'counts', 'accuracy', '', 'r', now(), 'r', now(), NULL, NULL, 0",
            violations,
        )


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scoring, Scoring]:
    """With and without the twin."""
    folder = tmp_path_factory.mktemp("scoring")
    write_good_marts(folder / "names.duckdb")
    with duckdb.connect(str(folder / "names.duckdb")) as connection:
        cases = [row[0] for row in connection.execute("SELECT case_number FROM marts.fct_case ORDER BY ALL LIMIT 100").fetchall()]
        reviews = [row[0] for row in connection.execute("SELECT review_id FROM marts.fct_review ORDER BY ALL LIMIT 3").fetchall()]
    natural = [("late", "fct_case", case) for case in cases[90:95]]
    found = [("typo", "fct_case", case) for case in cases[:9]]  # the tenth is missed
    found += [("gap", "fct_case_event", f"{case}/4") for case in cases[20:30]]  # the step after the one that is missing
    found += [("gap", "fct_case_event", f"{case}/2") for case in cases[20:22]]  # a step that is spoilt itself says nothing of the missing one
    found += [("typo", "fct_case", cases[80]), ("orphan", "fct_review", reviews[0])]  # a false alarm; the review of a spoilt case
    planted: list[tuple[str, str, str | None, str, str, str | None, str, int]] = []
    planted += [("case", "typo", case, "applicant_name", "value", None, FILE, 100 + n) for n, case in enumerate(cases[:10])]
    planted += [("case", "quiet", case, "address", "value", None, FILE, 200 + n) for n, case in enumerate(cases[40:50])]
    planted += [("case_event", "missing", f"{case}/3", "*", "row_missing", "{}", "e.parquet", 1) for case in cases[20:30]]
    planted += [("case_event", "spoilt", f"{case}/2", "actor", "value", None, "e.parquet", 2) for case in cases[20:22]]
    planted += [("case", "repeated", case, "contact_phone", "row_added", "1", FILE, 300) for case in cases[50:52]]
    planted += [("case", "unreadable", None, "case_number", "value", cases[60], FILE, n) for n in (1, 2)]
    with duckdb.connect(str(folder / "names.duckdb")) as connection:
        owner = connection.execute("SELECT case_number FROM marts.fct_review WHERE review_id = ?", [reviews[0]]).fetchall()[0][0]
        planted.append(("case", "quiet", owner, "address", "value", None, FILE, 299))
        connection.execute(
            "CREATE TABLE list (subject VARCHAR, kind VARCHAR, key VARCHAR, field VARCHAR, change VARCHAR, right_value VARCHAR, file VARCHAR, file_row BIGINT)"
        )
        connection.executemany("INSERT INTO list VALUES (?, ?, ?, ?, ?, ?, ?, ?)", planted)
        connection.execute(f"COPY list TO '{folder / 'list.parquet'}'")
    write_city(folder / "city.duckdb", natural + found)
    write_city(folder / "twin.duckdb", natural)
    return score(folder / "list.parquet", folder / "city.duckdb", folder / "twin.duckdb"), score(folder / "list.parquet", folder / "city.duckdb")


def test_recall_is_of_what_a_rule_is_there_to_see(scored: tuple[Scoring, Scoring]) -> None:
    kinds = {kind.kind: kind for kind in scored[0].kinds}
    assert (kinds["typo"].planted, kinds["typo"].seen, kinds["typo"].found, kinds["typo"].rules) == (10, 10, 9, ("typo",))
    assert (kinds["missing"].seen, kinds["missing"].found, kinds["missing"].rules) == (10, 10, ("gap",))
    assert kinds["typo"].recall == 0.9 and kinds["quiet"].recall is None
    assert scored[0].recall == pytest.approx(21 / 22)


def test_what_no_rule_sees_has_a_reason(scored: tuple[Scoring, Scoring]) -> None:
    kinds = {kind.kind: kind for kind in scored[0].kinds}
    assert {name for name, kind in kinds.items() if kind.reason} == {"quiet", "repeated", "unreadable"}
    assert "没有规则能看出" in str(kinds["quiet"].reason) and "只保留一个版本" in str(kinds["repeated"].reason)
    assert kinds["unreadable"].quarantined == 2 and "隔离" in str(kinds["unreadable"].reason)


def test_a_violation_is_planted_related_natural_or_wrong(scored: tuple[Scoring, Scoring]) -> None:
    alarms = {alarm.rule: alarm for alarm in scored[0].alarms}
    assert (alarms["typo"].planted, alarms["typo"].wrong) == (9, 1)
    assert (alarms["gap"].planted, alarms["gap"].related, alarms["gap"].wrong) == (2, 10, 0)
    assert (alarms["orphan"].related, alarms["late"].natural, alarms["late"].wrong) == (1, 5, 0)
    assert scored[0].precision == pytest.approx(22 / 23)
    assert scored[0].precision_of(scored[0].kinds[0]) is None or scored[0].kinds[0].rules


def test_without_the_twin_what_is_natural_counts_as_wrong(scored: tuple[Scoring, Scoring]) -> None:
    assert sum(alarm.wrong for alarm in scored[1].alarms) == 6 and scored[1].precision == pytest.approx(22 / 28)


def test_marts_without_a_ledger_are_refused(tmp_path: Path) -> None:
    write_good_marts(tmp_path / "city.duckdb")
    with pytest.raises(YiwangError, match="YW-QUALITY-005") as caught:
        score(tmp_path / "list.parquet", tmp_path / "city.duckdb")
    assert "quality_violation" in caught.value.message
