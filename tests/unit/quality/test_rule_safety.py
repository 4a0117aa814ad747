"""No file of rules is a traceback, and no SQL of a rule is one that cannot be stopped or says something else each time."""

import json
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.errors import YiwangError
from quality.catalogue.functions import refused
from quality.catalogue.loading import load_rules
from tests.support.quality_marts import write_good_marts

RULE = "- id: fine\n  table: fct_case\n  dimension: accuracy\n  severity: counts\n  standard: 甲\n  clause: 乙\n  message: 办件不合理\n  failing: {}\n"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("marts") / "masked.duckdb"
    write_good_marts(path)
    return path


def refusal(folder: Path, failing: str) -> str:
    (folder / "case.yml").write_text(RULE.format(json.dumps(failing, ensure_ascii=False)), encoding="utf-8")
    with pytest.raises(YiwangError) as raised:
        load_rules(folder)
    assert raised.value.code == "YW-QUALITY-001" and "case.yml 第 8 行（fine）" in raised.value.message
    return raised.value.message


@pytest.mark.parametrize("failing", [
    "length(repeat(case_number, 20000000)) > 1", "len(range(400000000)) > 1", "len(generate_series(1, 400000000)) > 1", "lpad(case_number, 100000000, 'x') = ''",
    "levenshtein(repeat(case_number, 9999), repeat(source, 9999)) > 1", "printf('%1000000000d', 1) = ''", "cast(null as integer[100000]) is null",
    "replace(case_number, '1', '1111111111') = ''", "replace(case_number, '1', source) = ''", "regexp_replace(case_number, '', 'xx', 'g') = ''",
    "exists (select x || x as a, a || a as b, b || b as c from (select case_number as x))", "exists (select 1 from (values (case_number || source)) as v(a))",
    "list_transform([case_number], a -> a || a) = ['x']", "[a || a for a in [case_number]] = ['x']", "(with a as (select 1) select true from a)",
])  # fmt: skip
def test_values_without_bounds_are_refused(tmp_path: Path, failing: str) -> None:
    assert any(word in refusal(tmp_path, failing) for word in ("不能用函数", "无限变长", "替换内容", "定长数组", "不能用 WITH"))


@pytest.mark.parametrize("failing", [
    "random() > 0.5", "uuid()::varchar = ''", "now() > received_at", "current_date > received_on", "CURRENT_TIMESTAMP > received_at", "age(received_at) is null",
    "current_setting('threads') = '1'", "case_number in (select case_number from marts.fct_case using sample 10%)",
    "case_number in (select case_number from marts.fct_case tablesample 10%)", "nextval('s') > 1", "current_user = ''",
])  # fmt: skip
def test_what_is_something_else_each_time_is_refused(tmp_path: Path, failing: str) -> None:
    assert "每次结果" in refusal(tmp_path, failing)


@pytest.mark.parametrize("failing", ["columns(*) is not null", "t.* is null", "unnest([true, false])", "row_number() over () > 10", "count(*) > 1", "sum(promise_days) > 1"])
def test_what_is_not_of_one_row_is_refused(tmp_path: Path, failing: str) -> None:
    assert refusal(tmp_path, failing)


@pytest.mark.parametrize("failing", ["not " * 600 + "true", "abs(" * 950 + "1" + ")" * 950 + " > 1", "case when true then " * 400 + "true" + " else false end" * 400])
def test_sql_nested_too_deeply_is_refused(tmp_path: Path, failing: str) -> None:
    assert "嵌套过深" in refusal(tmp_path, failing)


@pytest.mark.parametrize("failing", [
    "case_number || source = 'x'", "(source, case_number) in (select source, case_number from marts.fct_case group by all having count(*) > 1)",
    "case_number in (select source || case_number from marts.fct_case)", "replace(case_number, '-', '') = ''", "regexp_replace(case_number, '[0-9]', '', 'g') = ''",
    "strftime(received_at, '%Y') = '2026'", "exists (select 1 from range(10) as r(i) where i > 100)", "received_at + interval 3 day < completed_at",
    "substring(case_number, 1, 2) = 'x' and case_number like '%x' and case_number similar to 'x' and date_diff('day', received_at, completed_at) > 3",
    "case_number in (select case_number from (select case_number, row_number() over (partition by source) as n from marts.fct_case) where n > 1000000)",
])  # fmt: skip
def test_what_rules_need_is_accepted(good: Path, tmp_path: Path, failing: str) -> None:
    (tmp_path / "case.yml").write_text(RULE.format(json.dumps(failing)), encoding="utf-8")
    with duckdb.connect(str(good), read_only=True) as connection:
        [rule] = load_rules(tmp_path, connection)
        assert connection.execute(f"SELECT count(*) FROM ({rule.sql})").fetchall()[0][0] >= 0


@pytest.mark.parametrize(("text", "line"), [
    ("- {id: a}\n- {id: b, [c]: 1}\n", 2), ("- id: !!int abc\n", 1), ("- a: b\n  id: !!float abc\n", 2), ("- id: !!bool abc\n", 1), ("- id: !!timestamp abc\n", 1), ("- id: !!int ''\n", 1),
    ("- effective_from: 2026-13-45\n", 1), ("[" * 5000 + "]" * 5000, 1), ("- {id: " + "[" * 5000 + "]" * 5000 + "}\n", 1), ("- {id: &a {b: *a}}\n", 1), ("- &a [*a]\n", 1), ("- <<: 1\n", 1),
    ("- {id: !!python/object:os.system x}\n", 1), ("---\n---\n", 2), ("\x00", 1), ("a: b\n", 1), ("- {? {a: b} : 1}\n", 1),
])  # fmt: skip
def test_malformed_yaml_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "case.yml").write_text(text, encoding="utf-8")
    with pytest.raises(YiwangError, match=f"case.yml 第 {line} 行") as raised:
        load_rules(tmp_path)
    assert raised.value.code == "YW-QUALITY-001"


@given(st.text(alphabet="-:{}[]!&*<>|'\"#%@`,? \n\tabint0129.~=", max_size=60))
def test_no_yaml_is_a_traceback(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "case.yml").write_text("- id: " + text, encoding="utf-8")
    with pytest.raises(YiwangError, match="case.yml 第 [0-9]+ 行"):
        load_rules(folder)


def test_a_function_that_duckdb_gets_is_refused_until_somebody_looks_at_it() -> None:
    with duckdb.connect() as connection:
        tree = json.loads(connection.execute("SELECT json_serialize_sql('SELECT a_new_function(1)')").fetchall()[0][0])
    assert "a_new_function" in str(refused(tree))
