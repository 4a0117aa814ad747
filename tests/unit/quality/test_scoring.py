"""Planted errors against violations: what was found, what cannot be seen and why, what is natural, what is a false alarm."""

import shutil
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
        if not violations:
            return
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
            "CREATE TABLE list (subject VARCHAR, kind VARCHAR, key VARCHAR, field VARCHAR, change VARCHAR, right_value VARCHAR, file VARCHAR, file_row BIGINT, planted_value VARCHAR)"
        )
        connection.executemany("INSERT INTO list VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)", planted)
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


def test_what_was_missed_has_a_reason(tmp_path: Path) -> None:
    write_good_marts(tmp_path / "city.duckdb")
    with duckdb.connect(str(tmp_path / "city.duckdb")) as connection:
        cases = [row[0] for row in connection.execute("SELECT case_number FROM marts.fct_case ORDER BY ALL LIMIT 12").fetchall()]
        outside = [row[0] for row in connection.execute("SELECT case_number FROM marts.fct_case WHERE outcome_code IS DISTINCT FROM 'granted' ORDER BY ALL DESC LIMIT 2").fetchall()]
        planted = [("case", "odd", case, "address", "value", n) for n, case in enumerate(cases)] + [("case", "odd", case, "address", "value", 50 + n) for n, case in enumerate(outside)]
        planted += [("case_event", "gone", f"{case}/3", "*", "row_missing", 80 + n) for n, case in enumerate(cases)]
        rows = [(*row[:5], None, None, FILE, 1000 + row[5]) for row in planted]
        columns = "subject VARCHAR, kind VARCHAR, key VARCHAR, field VARCHAR, change VARCHAR, right_value VARCHAR, planted_value VARCHAR, file VARCHAR, file_row BIGINT"
        connection.execute(f"CREATE TEMP TABLE list ({columns})")
        connection.executemany("INSERT INTO list VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute(f"COPY list TO '{tmp_path / 'list.parquet'}'")
        granted = {row[0] for row in connection.execute("SELECT case_number FROM marts.fct_case WHERE outcome_code = 'granted'").fetchall()}
    found = [case for case in cases if case in granted][:-1]  # of those that the rule looks at, one passes
    (tmp_path / "city.duckdb").unlink()
    gaps = [("event_sequence_gap", "fct_case_event", f"{case}/4") for case in cases[:2]]
    write_city(tmp_path / "city.duckdb", [("case_granted_after_refusal", "fct_case", case) for case in found] + gaps)
    kinds = {kind.kind: kind for kind in score(tmp_path / "list.parquet", tmp_path / "city.duckdb").kinds}
    for kind in kinds.values():
        assert sum(kind.missed.values()) == kind.seen - kind.found
    assert [(("没有留下破绽" in why), count) for why, count in kinds["gone"].missed.items()] == [(True, 10)]
    by_word = {word: count for why, count in kinds["odd"].missed.items() for word in ("适用条件", "不矛盾") if word in why}
    assert by_word == {"适用条件": 12 + 2 - len(found) - 1, "不矛盾": 1}


def test_a_list_of_another_city_or_a_twin_that_is_none_is_refused(tmp_path: Path) -> None:
    write_city(tmp_path / "city.duckdb", [])
    for name in ("other", "far"):
        shutil.copyfile(tmp_path / "city.duckdb", tmp_path / f"{name}.duckdb")
    with duckdb.connect(str(tmp_path / "city.duckdb")) as connection:
        connection.execute(
            f"""COPY (SELECT 'case' AS subject, 'code' AS kind, case_number AS key, 'channel_code' AS field, 'value' AS change, '1' AS right_value, 'XX' AS planted_value,
                '{FILE}' AS file, 1000 + row_number() OVER () AS file_row FROM (FROM marts.fct_case ORDER BY case_number LIMIT 20)) TO '{tmp_path / "list.parquet"}'"""
        )
        connection.execute("UPDATE marts.fct_case SET channel_code = 'XX' WHERE case_number IN (SELECT case_number FROM marts.fct_case ORDER BY case_number LIMIT 20)")
    with duckdb.connect(str(tmp_path / "far.duckdb")) as connection:
        connection.execute("UPDATE marts.fct_case SET case_number = 'F' || case_number")
    assert score(tmp_path / "list.parquet", tmp_path / "city.duckdb", tmp_path / "other.duckdb").kinds[0].planted == 20
    for city, twin, said in (("other", None, "清单属于另一城市"), ("city", "city", "不是不植入错误的城市"), ("city", "far", "它是另一城市")):
        with pytest.raises(YiwangError, match=said):
            score(tmp_path / "list.parquet", tmp_path / f"{city}.duckdb", tmp_path / f"{twin}.duckdb" if twin else None)
