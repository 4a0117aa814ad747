"""Quality rules: read, refused when broken, and each one finds its own kind of fault."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import yaml

from models.domain.codes import code_tables
from models.domain.errors import YiwangError
from quality.catalogue.loading import load_rules
from quality.catalogue.model import DIMENSIONS, SEVERITIES, Rule
from quality.catalogue.words import code_table_of, said, title_of
from tests.support.quality_marts import FAULTS, fault_of, write_good_marts

RULES = {rule.id: rule for rule in load_rules()}
GOOD = {
    "id": "case_late", "table": "fct_case", "dimension": "accuracy", "severity": "counts", "standard": "平台设计", "clause": "一",
    "failing": "is_late", "message": "超期",
}  # fmt: skip
RAW = re.compile(r"[a-z]{2,}|[{}_]|\+0\d|（空）|（（")
"""What nobody who mends records should have to read: names of columns, English codes, zones, brackets in brackets."""
ENGLISH = re.compile(r"Input should|Field required|Extra inputs|Value error|Error:|String should|at least", re.IGNORECASE)


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
        shown = [column for column in RULES[name].placeholders if code_table_of(RULES[name].table, column)]
        said_of = ", ".join([RULES[name].message_sql, *shown])
        rows = faulty.execute(f"SELECT count(*) OVER (), {said_of} FROM ({RULES[name].sql}) AS t LIMIT 3").fetchall()
    finally:
        faulty.rollback()
    found = rows[0][0] if rows else 0
    assert found == expected if expected is not None else found > 0
    for _, message, *codes in rows:
        assert not RAW.search(message.replace("nowhere", "")), message  # a key that the fault wrote
        for column, code in zip(shown, codes, strict=True):
            assert code_tables()[str(code_table_of(RULES[name].table, column))].get(code, code or "空") in message


def test_every_rule_says_what_to_do_and_what_its_fields_are_called() -> None:
    for rule in RULES.values():
        assert rule.advice.startswith("请") and not RAW.search(re.sub(r"[a-z_]+（", "", rule.advice)), rule.id  # codes stand before their names
        assert not RAW.search(rule.title.replace("JSON", "")), rule.title
        assert not re.search(r"[：，为是]$|为，|“”|（）", rule.title), "a title is a sentence without its values"
        if rule.at_fault and rule.owner == "department":
            assert title_of(rule.table, rule.at_fault) != rule.at_fault, rule.at_fault


@pytest.mark.parametrize(
    ("table", "column", "value", "word"),
    [
        ("fct_case", "names_certificate", "false", "没有写"), ("fct_case", "is_tolerance", "true", "是"), ("fct_case", "contact_phone_flaw", "length", "位数不对"),
        ("fct_case", "channel_code", "1", "窗口办理"), ("fct_case", "channel_code", "77", "77"), ("dim_matter", "handling_form_codes", "1,3", "窗口办理、移动端网上申请"),
        ("fct_case_event", "previous_activity_code", "accepted", "受理"), ("fct_case", "completed_at", None, ""), ("fct_case", "completed_at", "2026-03-25 20:57:37.5+08", "2026-03-25 20:57:37"), ("fct_case", None, "1", "1"),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_people_say_it(table: str, column: str | None, value: str | None, word: str) -> None:
    assert said(table, column, value) == word


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
        ({"message": None}, "message 缺少这一项"),
        ({"message": "channel bad"}, "message 应写成中文"),
        ({"message": "{channel_code}"}, "应写成中文"),
        ({"remedy": "mend it"}, "remedy 应写成中文"),
        ({"failing": "count(*) > 1"}, "只能写在子查询里"),
        ({"applies": "sum(correction_count) over () > 1"}, "只能写在子查询里"),
        ({"failing": "row_number() over (order by case_number) > 1"}, "只能写在子查询里"),
        ({"effective_from": "someday"}, "应为日期"),
        ({"required": []}, "required 至少要有 1 项"),
        ({"id": "Wrong"}, "id 含有不允许的字符"),
    ],
)
def test_a_broken_rule_is_refused_with_file_and_entry(change: dict[str, object], detail: str, tmp_path: Path) -> None:
    broken = {key: value for key, value in (GOOD | {"id": "broken"} | change).items() if value is not None}
    (tmp_path / "city.yml").write_text(yaml.safe_dump([GOOD, broken], allow_unicode=True), encoding="utf-8")
    with pytest.raises(YiwangError) as caught:
        load_rules(tmp_path)
    assert caught.value.code == "YW-QUALITY-001"
    assert all(part in caught.value.message for part in ("city.yml", "行（broken）" if broken["id"] == "broken" else "行", detail))
    assert not ENGLISH.search(caught.value.message), caught.value.message


@pytest.mark.parametrize("value", ["2026-13-01", "2026-02-30"])
def test_a_day_that_no_calendar_has_is_refused_with_its_line(value: str, tmp_path: Path) -> None:
    text = yaml.safe_dump([GOOD], allow_unicode=True, sort_keys=False) + f"  effective_from: {value}\n"
    (tmp_path / "city.yml").write_text(text, encoding="utf-8")
    with pytest.raises(YiwangError, match=f"YW-QUALITY-001|city.yml 第 {text.count(chr(10))} 行有误：写法不对"):
        load_rules(tmp_path)


def test_an_aggregate_in_a_subquery_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "city.yml").write_text(yaml.safe_dump([GOOD | {"failing": "(select count(*) from marts.fct_review) > 1"}]), encoding="utf-8")
    assert len(load_rules(tmp_path)) == 1


def test_a_city_has_rules_of_its_own_beside_the_shipped_ones(tmp_path: Path, good: Path) -> None:
    assert [rule.id for rule in load_rules(own=tmp_path / "none")] == list(RULES)
    gentler = GOOD | {"id": "case_completed_before_received", "severity": "advises", "failing": "completed_at < received_at"}
    (tmp_path / "city.yml").write_text(yaml.safe_dump([GOOD, gentler], allow_unicode=True), encoding="utf-8")
    with duckdb.connect(str(good), read_only=True) as connection:
        found = {rule.id: rule for rule in load_rules(None, connection, tmp_path)}
    assert set(found) == {*RULES, "case_late"} and found["case_late"].subject == "city"
    assert found["case_completed_before_received"].severity == "advises"
    (tmp_path / "more.yml").write_text(yaml.safe_dump([GOOD], allow_unicode=True), encoding="utf-8")
    with pytest.raises(YiwangError, match="more.yml .*id 重复，已见于 city.yml"):
        load_rules(own=tmp_path)


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
        ({"failing": "exists (select 1 from marts.nothing)"}, "没有数据表 nothing"),
        ({"failing": "t.no_such_column > 1"}, "没有字段 no_such_column"),
        ({"failing": "no_such_function(case_number)"}, "不能用函数 no_such_function"),
        ({"failing": "received_on > 1"}, "不能比较"),
        ({"failing": "length(correction_count) > 1"}, "函数的参数类型不符"),
    ],
)
def test_a_rule_that_does_not_fit_the_marts_is_refused(change: dict[str, object], detail: str, good: Path, tmp_path: Path) -> None:
    (tmp_path / "city.yml").write_text(yaml.safe_dump([GOOD | change]), encoding="utf-8")
    with (
        duckdb.connect(str(good), read_only=True, config={"enable_external_access": False}) as connection,
        pytest.raises(YiwangError, match=f"(?s)第 [0-9]+ 行（case_late）.*{detail}") as caught,
    ):
        load_rules(tmp_path, connection)
    assert not ENGLISH.search(caught.value.message)


def test_a_mart_that_is_not_there_is_no_fault_of_the_rules(good: Path, tmp_path: Path) -> None:
    shutil.copyfile(good, tmp_path / "masked.duckdb")
    with duckdb.connect(str(tmp_path / "masked.duckdb")) as connection:
        for table in ("fct_certificate", "fct_review", "dim_matter_version"):
            connection.execute(f"DROP TABLE marts.{table}")
        assert len(load_rules(None, connection)) == len(RULES)


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
    assert all(message == f"办件“{number}”由“{window or '空'}”收件" for _, number, window, message in found)
    assert rule.title == "办件由收件"
