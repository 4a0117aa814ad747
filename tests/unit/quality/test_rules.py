"""Quality rules: read, refused when broken, and each one finds its own kind of fault."""

import shutil
from pathlib import Path

import duckdb
import pytest
import yaml

from models.domain.errors import YiwangError
from quality.rules import Rule, load_rules
from tests.support.quality_marts import FAULTS, plant, write_good_marts

RULES = {rule.name: rule for rule in load_rules()}
GOOD = {
    "name": "case_late", "table": "fct_case", "dimension": "准确性", "severity": "warn", "standard": "平台设计", "clause": "一",
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
    assert set(FAULTS) == set(RULES)


@pytest.mark.parametrize("name", FAULTS)
def test_a_rule_finds_its_fault(name: str, good: Path, tmp_path: Path) -> None:
    path = tmp_path / "masked.duckdb"
    shutil.copyfile(good, path)
    plant(path, name)
    expected, found = FAULTS[name][1], failed(path, name).get(name, 0)
    assert found == expected if expected is not None else found > 0


def test_every_rule_says_on_whose_authority_and_speaks_chinese() -> None:
    for rule in RULES.values():
        assert rule.standard and rule.clause and rule.message == rule.message.strip("。 ")
        assert any("\u4e00" <= character <= "\u9fff" for character in rule.message)


def test_planted_errors_of_the_sample_do_not_stop_publishing() -> None:
    """Only what makes the figures untrustworthy does: keys, reconciliation, holes, clear personal data."""
    blocking = {name for name, rule in RULES.items() if rule.severity == "error"}
    assert all(name.endswith(("_unique", "_masked", "_reconciles", "_due_reason")) or name.startswith(("day_", "department_without", "review_direction")) for name in blocking)


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"failing": None}, "failing、unique、codes"),
        ({"unique": ["source"]}, "failing、unique、codes"),
        ({"failing": "is_late) or (true"}, "单个条件表达式"),
        ({"failing": "true), (select 1"}, "单个条件表达式"),
        ({"failing": "true) from marts.fct_case where (true"}, "单个条件表达式"),
        ({"failing": "true); drop table marts.fct_case; select (true"}, "SQL"),
        ({"failing": "is_late and"}, "无法解析"),
        ({"applies": "true) union all select (true"}, "SQL"),
        ({"failing": None, "codes": {"channel_code": "A.99"}}, "A.99"),
        ({"failing": None, "unique": ["source; drop"]}, "unique.0"),
        ({"severity": "fatal"}, "severity"),
        ({"colour": "red"}, "colour"),
        ({"message": None}, "message"),
    ],
)
def test_a_broken_rule_is_refused_with_file_and_entry(change: dict[str, object], detail: str, tmp_path: Path) -> None:
    broken = {key: value for key, value in (GOOD | {"name": "broken"} | change).items() if value is not None}
    (tmp_path / "city.yml").write_text(yaml.safe_dump([GOOD, broken], allow_unicode=True), encoding="utf-8")
    with pytest.raises(YiwangError) as caught:
        load_rules(tmp_path)
    assert caught.value.code == "YW-QUALITY-001"
    assert all(part in caught.value.message for part in ("city.yml", "第 2 条（broken）", detail))


@pytest.mark.parametrize("text", ["a: [", "name: alone", "\udcff"])
def test_a_file_that_is_no_list_of_rules_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "city.yml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(YiwangError, match="city.yml 全文"):
        load_rules(tmp_path)


def test_a_name_is_given_once(tmp_path: Path) -> None:
    for file in ("a.yml", "b.yml"):
        (tmp_path / file).write_text(yaml.safe_dump([GOOD]), encoding="utf-8")
    with pytest.raises(YiwangError, match="b.yml.*case_late.*名称重复"):
        load_rules(tmp_path)


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"failing": "no_such_column > 1"}, "no_such_column"),
        ({"table": "fct_nothing"}, "fct_nothing"),
        ({"failing": "correction_count"}, "INTEGER"),
        ({"failing": "exists (select 1 from marts.nothing)"}, "nothing"),
        ({"failing": "exists (select 1 from read_csv('/etc/hosts'))"}, "disabled"),
    ],
)
def test_a_rule_that_does_not_fit_the_marts_is_refused(change: dict[str, object], detail: str, good: Path, tmp_path: Path) -> None:
    (tmp_path / "city.yml").write_text(yaml.safe_dump([GOOD | change]), encoding="utf-8")
    with (
        duckdb.connect(str(good), read_only=True, config={"enable_external_access": False}) as connection,
        pytest.raises(YiwangError, match=f"(?s)第 1 条（case_late）.*{detail}"),
    ):
        load_rules(tmp_path, connection)


def test_a_comment_in_a_condition_hides_nothing() -> None:
    rule = Rule.model_validate(GOOD | {"applies": "true -- all", "failing": "false -- none"})
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {rule.condition}").fetchall() == [(False,)]
