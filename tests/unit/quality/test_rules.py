"""Quality rules: read, refused when broken, and each one finds its own kind of fault."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import yaml

from models.domain.errors import YiwangError
from quality.catalogue.loading import load_rules
from quality.catalogue.model import DIMENSIONS, SEVERITIES, Rule
from tests.support.quality_marts import FAULTS, fault_of, write_good_marts

RULES = {rule.id: rule for rule in load_rules()}
GOOD = {
    "id": "case_late", "table": "fct_case", "dimension": "accuracy", "severity": "counts", "standard": "平台设计", "clause": "一",
    "failing": "is_late", "message": "超期",
}  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "masked.duckdb"
    write_good_marts(path)
    return path


def failed(path: Path, *names: str) -> dict[str, int]:
    with duckdb.connect(str(path), read_only=True) as connection:
        counts = {name: connection.execute(f"SELECT count(*) FROM ({RULES[name].sql})").fetchall()[0][0] for name in names}
    return {name: count for name, count in counts.items() if count}


def test_no_rule_fails_on_marts_without_a_fault(good: Path) -> None:
    with duckdb.connect(str(good), read_only=True) as connection:
        assert len(load_rules(connection=connection)) == len(RULES)
    assert failed(good, *RULES) == {}


def test_every_rule_has_a_fault_to_find() -> None:
    assert set(FAULTS) <= set(RULES), "a fault of no rule"
    assert {rule.id for rule in RULES.values() if rule.failing} <= set(FAULTS), "what breaks SQL has to be said"


def test_there_are_rules_of_every_subject_dimension_and_severity() -> None:
    """What the catalogue promises: matters, cases, steps, certificates, reviews and their relations."""
    assert len(RULES) >= 250
    for subject in ("matter", "case", "case_event", "certificate", "review", "relation"):
        assert sum(rule.subject == subject for rule in RULES.values()) >= 25, subject
    assert {rule.dimension for rule in RULES.values()} == set(DIMENSIONS)
    assert {rule.severity for rule in RULES.values()} == set(SEVERITIES)


@pytest.fixture(scope="module")
def faulty(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    path = tmp_path_factory.mktemp("faulty") / "masked.duckdb"
    shutil.copyfile(good, path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.mark.parametrize("name", RULES)
def test_a_rule_finds_its_fault(name: str, faulty: duckdb.DuckDBPyConnection) -> None:
    fault, expected = fault_of(RULES[name])
    faulty.begin()
    try:
        faulty.execute(fault)
        found = faulty.execute(f"SELECT count(*) FROM ({RULES[name].sql})").fetchall()[0][0]
    finally:
        faulty.rollback()
    assert found == expected if expected is not None else found > 0


def test_every_rule_says_on_whose_authority_and_speaks_chinese() -> None:
    for rule in RULES.values():
        assert rule.standard and rule.clause and rule.message == rule.message.strip("。 ")
        assert any("\u4e00" <= character <= "\u9fff" for character in rule.message)


def test_planted_errors_of_the_sample_do_not_stop_publishing() -> None:
    """Only what makes the figures untrustworthy does: keys, reconciliation, holes, clear personal data."""
    gates = {name for name, rule in RULES.items() if rule.gate}
    assert all(name.endswith(("_unique", "_masked", "_reconciles", "_due_reason")) or name.startswith(("day_", "department_without", "review_direction")) for name in gates)


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"failing": None}, "failing、required、unique、codes"),
        ({"unique": ["source"]}, "failing、required、unique、codes"),
        ({"failing": "is_late) or (true"}, "单个条件表达式"),
        ({"failing": "true), (select 1"}, "单个条件表达式"),
        ({"failing": "true) from marts.fct_case where (true"}, "单个条件表达式"),
        ({"failing": "true); drop table marts.fct_case; select (true"}, "SQL"),
        ({"failing": "is_late and"}, "无法解析"),
        ({"applies": "true) union all select (true"}, "SQL"),
        ({"failing": None, "codes": {"channel_code": "A.99"}}, "A.99"),
        ({"failing": None, "unique": ["source; drop"]}, "unique.0"),
        ({"failing": "exists (select 1 from read_csv('/etc/hosts'))"}, "只能读取 marts"),
        ({"failing": "exists (select 1 from '/etc/hosts')"}, "只能读取 marts"),
        ({"failing": "exists (select 1 from other.marts.fct_case)"}, "只能读取 marts"),
        ({"applies": "(select count(*) from pg_catalog.pg_class) > 0"}, "只能读取 marts"),
        ({"severity": "fatal"}, "severity"),
        ({"colour": "red"}, "colour"),
        ({"subject": "case"}, "subject 由文件名给出"),
        ({"table": "fct_nothing"}, "fct_nothing"),
        ({"owner": "king"}, "king"),
        ({"message": "时间 {received at} 有误"}, "花括号"),
        ({"failing": None, "format": {"case_number": "["}}, "missing ]"),
        ({"failing": None, "length": {"case_number": [9, 1]}}, "最短长度"),
        ({"effective_from": "2026-07-01", "effective_to": "2026-06-01"}, "effective_to"),
        ({"table": "dim_matter", "effective_from": "2026-07-01"}, "不按日分区"),
        ({"message": None}, "message"),
    ],
)
def test_a_broken_rule_is_refused_with_file_and_entry(change: dict[str, object], detail: str, tmp_path: Path) -> None:
    broken = {key: value for key, value in (GOOD | {"id": "broken"} | change).items() if value is not None}
    (tmp_path / "city.yml").write_text(yaml.safe_dump([GOOD, broken], allow_unicode=True), encoding="utf-8")
    with pytest.raises(YiwangError) as caught:
        load_rules(tmp_path)
    assert caught.value.code == "YW-QUALITY-001"
    assert all(part in caught.value.message for part in ("city.yml", "行（broken）", detail))


@pytest.mark.parametrize("text", ["a: [", "name: alone", "\udcff"])
def test_a_file_that_is_no_list_of_rules_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "city.yml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(YiwangError, match="city.yml 第 1 行"):
        load_rules(tmp_path)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    for file in ("a.yml", "b.yml"):
        (tmp_path / file).write_text(yaml.safe_dump([GOOD]), encoding="utf-8")
    with pytest.raises(YiwangError, match=r"b.yml 第 4 行（case_late）.*id 重复，已见于 a.yml 第 1 行"):
        load_rules(tmp_path)


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"failing": "no_such_column > 1"}, "no_such_column"),
        ({"table": "dim_region_gone", "failing": "true"}, "dim_region_gone"),
        ({"field": "colour"}, "colour"),
        ({"message": "{colour}超期"}, "colour"),
        ({"failing": None, "required": ["colour"]}, "colour"),
        ({"failing": "correction_count"}, "INTEGER"),
        ({"failing": "exists (select 1 from marts.nothing)"}, "nothing"),
    ],
)
def test_a_rule_that_does_not_fit_the_marts_is_refused(change: dict[str, object], detail: str, good: Path, tmp_path: Path) -> None:
    (tmp_path / "city.yml").write_text(yaml.safe_dump([GOOD | change]), encoding="utf-8")
    with (
        duckdb.connect(str(good), read_only=True, config={"enable_external_access": False}) as connection,
        pytest.raises(YiwangError, match=f"(?s)第 [0-9]+ 行（case_late）.*{detail}"),
    ):
        load_rules(tmp_path, connection)


def test_a_comment_in_a_condition_hides_nothing() -> None:
    rule = Rule.model_validate(GOOD | {"subject": "case", "applies": "true -- all", "failing": "false -- none"})
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {rule.condition}").fetchall() == [(False,)]


def test_a_refusal_names_the_line_of_what_is_wrong(tmp_path: Path) -> None:
    text = "# rules of a city\n\n- id: fine\n  table: fct_case\n  dimension: accuracy\n  severity: counts\n  standard: 甲\n  clause: 乙\n  failing: is_late\n  message: 丙\n"
    second = text.split("\n\n")[1].replace("fine", "odd")
    for change, line in (("severity: counts", 14), ("failing: is_late", 17), ("- id: odd", 11)):
        broken = {"severity: counts": "severity: fatal", "failing: is_late": "failing: is_late and", "- id: odd": "- id: fine"}[change]
        (tmp_path / "city.yml").write_text(text + second.replace(change, broken), encoding="utf-8")
        with pytest.raises(YiwangError, match=f"city.yml 第 {line} 行"):
            load_rules(tmp_path)
    (tmp_path / "city.yml").write_text(text + "  message: 丁\n", encoding="utf-8")
    with pytest.raises(YiwangError, match="第 11 行有误：message 写了两次"):
        load_rules(tmp_path)


def test_a_rule_says_what_it_looks_at_and_fills_the_values_in(good: Path) -> None:
    rule = Rule.model_validate(
        GOOD | {"subject": "case", "effective_from": "2026-01-01", "effective_to": "2026-03-31", "failing": "true", "message": "办件“{case_number}”由“{window_code}”收件"}
    )
    with duckdb.connect(str(good), read_only=True) as connection:
        found = connection.execute(f"SELECT t.received_on, t.case_number, t.window_code, {rule.message_sql} FROM ({rule.sql}) AS t").fetchall()
        looked_at = connection.execute(rule.checked_sql).fetchall()[0][0]
    assert 0 < len(found) == looked_at < 400
    assert {(day.year, day.month) for day, *_ in found} <= {(2026, 1), (2026, 2), (2026, 3)}
    assert all(message == f"办件“{number}”由“{window or '（空）'}”收件" for _, number, window, message in found)
    assert rule.title == "办件由收件"
