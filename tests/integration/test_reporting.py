"""Precise reporting over whole snapshots: what goes out, what is held back, and what the platform above then knows."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from models.store.snapshots import SnapshotStore
from quality.reporting import building, ledger, selection, service
from quality.reporting.service import Period
from tests.support.reporting import publish, write_rules
from tests.support.snapshots import AS_OF

JUNE, MAY = Period.parse("2026-06"), Period.parse("2026-05")
SPRING = Period.parse("2026-01-01..2026-06-30")
ALL = Period.parse("2024-01-01..2026-06-30")
AT = datetime(2026, 7, 1, 1, tzinfo=UTC)
LATER = AS_OF + timedelta(days=31)
BAD_KIND = "UPDATE marts.fct_case SET case_kind_code = 'X9' WHERE hash(case_number) % 7 = 0"
BAD_REGION = "UPDATE marts.fct_case SET region_code = NULL WHERE hash(case_number) % 5 = 0"
UNNAMED = "UPDATE marts.dim_matter SET matter_name = NULL WHERE matter_code = (SELECT matter_code FROM marts.fct_case GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1)"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return write_rules(tmp_path / "rules")


def lines(settings: Settings, number: str) -> list[dict[str, Any]]:
    """The lines of a package, which must be sound."""
    folder = service.folder_of(settings, number)
    assert service.verify(settings, folder) is None
    subject = number.rpartition("-")[0]
    return [json.loads(line) for line in (folder / f"{subject}.jsonl").read_text(encoding="utf-8").splitlines()]


def held_lines(settings: Settings, number: str) -> list[dict[str, Any]]:
    files = service.held_folder_of(settings, number).glob("*.jsonl")
    return [{**json.loads(line), "file": file.stem} for file in sorted(files) for line in file.read_text(encoding="utf-8").splitlines()]


def query(settings: Settings, sql: str) -> list[Any]:
    with duckdb.connect(str(SnapshotStore(settings).in_service().path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        return connection.execute(sql).fetchall()


def test_only_what_is_right_goes_out_and_the_rest_is_told_to_its_department(settings: Settings, rules: Path) -> None:
    publish(settings, rules, changes=[BAD_KIND, BAD_REGION, "UPDATE marts.fct_case SET channel_code = NULL"])
    package = service.build(settings, "case", SPRING, AT, rules=rules)
    good = query(settings, "SELECT case_number FROM marts.fct_case WHERE received_on >= '2026-01-01' AND case_kind_code <> 'X9' AND region_code IS NOT NULL")
    bad = query(settings, "SELECT case_number, department_code, case_kind_code = 'X9', region_code IS NULL FROM marts.fct_case "
                          "WHERE received_on >= '2026-01-01' AND (case_kind_code = 'X9' OR region_code IS NULL)")  # fmt: skip
    sent = lines(settings, package.number)
    assert sorted(line["case_number"] for line in sent) == sorted(key for key, in good)
    assert {line["action"] for line in sent} == {"new"}
    held = held_lines(settings, package.number)
    expected = {(key, rule) for key, _, kind, region in bad for rule, is_bad in (("case_kind_known", kind), ("case_region_given", region)) if is_bad}
    assert {(line["record_key"], line["rule_id"]) for line in held} == expected and len(held) == len(expected)
    assert {(line["record_key"], line["file"]) for line in held} == {(key, department) for key, department, _, _ in bad}
    assert {line["message"] for line in held} == {"办件类型“X9”不在代码表中", "缺少行政区划"}
    # each once: by the rule that the catalogue has first
    first = {line["record_key"]: line["rule_id"] for line in held if line["is_first"]}
    assert first == {key: "case_kind_known" if kind else "case_region_given" for key, _, kind, _ in bad}


def test_the_reconciliation_closes_and_stands_in_manifest_and_ledger(settings: Settings, rules: Path) -> None:
    publish(settings, rules, changes=[BAD_KIND, BAD_REGION, "UPDATE marts.fct_case SET received_on = NULL WHERE hash(case_number) % 50 = 1"])
    package = service.build(settings, "case", JUNE, AT, rules=rules)
    closing = service.read_manifest(service.folder_of(settings, package.number)).reconciliation
    assert closing is not None and closing.difference == 0
    [(cases, june, undated)] = query(settings, "SELECT count(*), count(*) FILTER (received_on >= '2026-06-01'), count(*) FILTER (received_on IS NULL) FROM marts.fct_case")
    assert closing.source_rows == cases + 5  # five rows in quarantine
    assert closing.in_package + closing.held_back == june + undated
    assert closing.in_package == package.rows and closing.held_back == package.held
    by_rule = {line.rule_id: line for line in closing.held}
    assert by_rule["undated"].first == undated > 0
    assert sum(line.first for line in closing.held) == closing.held_back < sum(line.all for line in closing.held)
    with duckdb.connect(str(settings.home / "reporting" / "ledger.duckdb"), read_only=True) as ledger:
        kept = dict(ledger.execute("SELECT line, sum(rows) FROM reconciliation WHERE package = ? AND rule_id IS NULL GROUP BY 1", [package.number]).fetchall())
        assert kept.pop("in_ledger") == package.rows
        assert kept["source_rows"] == closing.source_rows == sum(kept.values()) - kept["source_rows"]


@pytest.mark.parametrize(("change", "part"), [
    ("!UPDATE marts.mart_sync_run SET inserted = inserted + 1 WHERE subject = 'case'", "同步账"),
    ("!INSERT INTO marts.fct_case SELECT * FROM marts.fct_case WHERE received_on >= '2026-06-01' LIMIT 1", "主键重复"),
])  # fmt: skip
def test_nothing_is_built_where_the_reconciliation_does_not_close(settings: Settings, rules: Path, change: str, part: str) -> None:
    publish(settings, rules, changes=[change])
    with pytest.raises(YiwangError, match=part) as caught:
        service.build(settings, "case", JUNE, AT, rules=rules)
    assert caught.value.code == "YW-REPORT-005"
    assert service.packages(settings) == [] and not list((settings.home / "reporting" / "packages").glob("*"))


def test_what_belongs_to_a_held_record_is_held(settings: Settings, rules: Path) -> None:
    orphan = "INSERT INTO marts.fct_case_event SELECT * REPLACE ('nowhere' AS case_number) FROM marts.fct_case_event WHERE occurred_on BETWEEN '2026-06-01' AND '2026-06-30' LIMIT 1"
    books = "UPDATE marts.mart_sync_run SET inserted = inserted + 1 WHERE subject = 'case_event'"
    publish(settings, rules, changes=[BAD_KIND, UNNAMED, orphan, books])
    held_cases = {key for key, in query(settings, "SELECT case_number FROM marts.fct_case WHERE case_kind_code = 'X9' OR matter_code IN "
                                                  "(SELECT matter_code FROM marts.dim_matter WHERE matter_name IS NULL)")}  # fmt: skip
    cases = service.build(settings, "case", SPRING, AT, rules=rules)
    package = service.build(settings, "case_event", JUNE, AT, rules=rules)
    assert not {line["case_number"] for line in lines(settings, package.number)} & held_cases
    held = held_lines(settings, package.number)
    assert {line["record_key"].rpartition("/")[0] for line in held if line["rule_id"] == "parent_held"} <= held_cases
    assert [line["message"] for line in held if line["rule_id"] == "parent_missing"] == ["所属的办件不存在"]
    reasons = Counter(line["rule_id"] for line in held_lines(settings, cases.number))
    assert reasons["parent_held"] > 0 and reasons["case_kind_known"] > 0
    assert [line["record_key"] for line in held_lines(settings, service.build(settings, "matter", JUNE, AT, rules=rules).number)]


@pytest.mark.parametrize("subject", ["case_event", "certificate", "review"])
def test_what_belongs_to_a_case_goes_after_it_and_comes_back_with_it(settings: Settings, rules: Path, subject: str) -> None:
    publish(settings, rules)
    first = service.build(settings, subject, SPRING, AT, rules=rules)
    assert first.rows == 0 and {line["rule_id"] for line in held_lines(settings, first.number)} == {"parent_not_reported"}
    service.build(settings, "case", JUNE, AT, rules=rules)
    second = service.build(settings, subject, SPRING, AT, rules=rules)
    sent = lines(settings, second.number)
    june = {key for key, in query(settings, "SELECT case_number FROM marts.fct_case WHERE received_on >= '2026-06-01'")}
    assert {line["case_number"] for line in sent} <= june and len(sent) == second.rows > 3
    taken = sent[0]["case_number"]
    theirs = sum(line["case_number"] == taken for line in sent)
    back = service.withdraw(settings, "case", [taken], AT, rules=rules)
    assert service.followers(settings, back.number) == {subject: theirs}
    third = service.build(settings, subject, SPRING, AT, rules=rules)
    assert [(line["action"], line["source"]) for line in lines(settings, third.number)] == [("withdraw", "sample")] * theirs
    told = [line for line in held_lines(settings, third.number) if line["is_reported"]]
    assert told == [], "nothing of it stands above any more"
    assert service.followers(settings, back.number) == {}
    service.correct(settings, "case", [taken], AT, rules=rules)
    fourth = service.build(settings, subject, SPRING, AT, rules=rules)
    assert [(line["action"], line["case_number"]) for line in lines(settings, fourth.number)] == [("new", taken)] * theirs


def test_what_went_out_before_its_case_had_to_stays_above_and_is_told(settings: Settings, rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of the time when steps were reported before their cases."""
    publish(settings, rules)
    with monkeypatch.context() as earlier:
        earlier.setattr(selection, "REPORTED_FIRST", {})
        before = service.build(settings, "case_event", JUNE, AT, rules=rules)
    publish(settings, rules, run=1, changes=["UPDATE marts.fct_case_event SET activity = '新的' WHERE occurred_on >= '2026-06-01'"])
    with pytest.raises(YiwangError) as caught:
        service.build(settings, "case_event", JUNE, AT, rules=rules)
    assert caught.value.code == "YW-REPORT-003"
    service.build(settings, "case", ALL, AT, rules=rules)
    after = service.build(settings, "case_event", JUNE, AT, rules=rules)
    assert {line["action"] for line in lines(settings, after.number)} == {"correct"} and after.rows == before.rows > 0


def test_what_the_source_recorded_goes_out_not_what_the_clock_deems(settings: Settings, rules: Path) -> None:
    deemed = "UPDATE marts.fct_case SET accepted_at = received_at, is_deemed_accepted = true, {} WHERE received_on = (SELECT max(received_on) FROM marts.fct_case)"
    publish(settings, rules, changes=[deemed.format("recorded_accepted_at = TIMESTAMPTZ '2026-06-30 10:00:00+08'")])
    package = service.build(settings, "case", JUNE, AT, rules=rules)
    told = {line["case_number"]: line["accepted_at"] for line in lines(settings, package.number)}
    day = "SELECT case_number FROM marts.fct_case WHERE received_on = (SELECT max(received_on) FROM marts.fct_case)"
    assert {told[key] for key, in query(settings, day)} == {"2026-06-30T10:00:00+08:00"}
    publish(settings, rules, run=1, changes=[deemed.format("recorded_accepted_at = NULL")])
    told = {line["case_number"]: line["accepted_at"] for line in lines(settings, service.build(settings, "case", JUNE, AT, rules=rules).number)}
    assert told == {key: None for key, in query(settings, day)}, "a source that recorded none reports none"


def test_no_end_goes_out_as_a_word_and_a_missing_end_as_nothing(settings: Settings, rules: Path) -> None:
    publish(settings, rules, changes=["UPDATE marts.fct_certificate SET valid_to = NULL, is_long_term = hash(certificate_id) % 2 = 0"])
    service.build(settings, "case", ALL, AT, rules=rules)
    told = {line["certificate_id"]: line["valid_to"] for line in lines(settings, service.build(settings, "certificate", SPRING, AT, rules=rules).number)}
    assert told == {key: "长期" if flag else None for key, flag in query(settings, "SELECT certificate_id, is_long_term FROM marts.fct_certificate") if key in told}
    assert set(told.values()) == {"长期", None}


@pytest.mark.parametrize("subject", ["case", "matter", *(pytest.param(subject, marks=pytest.mark.slow) for subject in ("case_event", "certificate", "review"))])
def test_workbooks_say_what_the_json_lines_say(settings: Settings, rules: Path, subject: str) -> None:
    publish(settings, rules, changes=[BAD_KIND])
    if subject not in ("case", "matter"):
        service.build(settings, "case", ALL, AT, rules=rules)
    package = building.build(settings, subject, SPRING, AT, rules=rules, sheet_rows=30)
    sent = lines(settings, package.number)
    manifest = service.read_manifest(service.folder_of(settings, package.number))
    books = [entry for entry in manifest.files if entry.name.endswith(".xlsx")]
    assert len(books) == -(-len(sent) // 29) > 1 and all(entry.rows <= 29 for entry in books)
    titles = {item.title: item.field for item in manifest.items if item.state != "absent"}
    rows: list[dict[str, Any]] = []
    for entry in books:
        book = openpyxl.load_workbook(service.folder_of(settings, package.number) / entry.name)
        top, *found = book.worksheets[0].values
        heading = [str(title) for title in top]
        assert heading[:2] == ["上报类型", "数据来源"] and set(heading[2:]) == set(titles)
        rows += [dict(zip(heading, row, strict=True)) for row in found]
    shown = {True: "是", False: "否", None: None}
    for line, row in zip(sent, rows, strict=True):
        assert row["上报类型"] == "新增"
        for title, field in titles.items():
            value = line[field]
            assert row[title] == (shown[value] if value is None or isinstance(value, bool) else str(value))


def test_the_package_says_which_items_are_masked_or_absent_and_why(settings: Settings, rules: Path) -> None:
    publish(settings, rules)
    package = service.build(settings, "case", JUNE, AT, rules=rules)
    items = {item.field: item for item in service.read_manifest(service.folder_of(settings, package.number)).items}
    assert (items["case_number"].item, items["case_number"].state, items["case_number"].why) == ("5.1", "clear", "")
    assert items["applicant_name"].state == "masked" and items["contact_phone"].state == "absent"
    assert all(item.why for item in items.values() if item.state != "clear")
    assert {field for field in lines(settings, package.number)[0]} - {"action", "source"} == {field for field, item in items.items() if item.state != "absent"}


class Above:
    """The platform above: it takes packages in order and refuses what it must never see."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], dict[str, Any]] = {}
        self.versions: Counter[str] = Counter()

    def take(self, package: list[dict[str, Any]]) -> None:
        keys = [(line["source"], line["case_number"]) for line in package]
        assert len(set(keys)) == len(keys)
        for key, line in zip(keys, package, strict=True):
            action = line.pop("action")
            assert (key in self.known) == (action in ("correct", "withdraw"))
            if action == "withdraw":
                del self.known[key]
            else:
                assert self.known.get(key) != line  # never the same version twice
                self.known[key] = line


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
def test_the_platform_above_always_knows_what_is_right_and_nothing_else(settings: Settings, rules: Path, seed: int) -> None:
    """Random changes over several runs and periods; packages applied in order give the good records of the covered days."""
    chance, above, changes, covered = random.Random(seed), Above(), [], "false"
    periods = [Period.parse("2026-04"), Period.parse("2026-05"), MAY, JUNE]
    for run, period in enumerate(periods):
        share = chance.randrange(3, 9)
        changes += chance.sample([
            f"UPDATE marts.fct_case SET case_kind_code = 'X9' WHERE hash(case_number, {chance.random()}) % {share} = 0",
            f"UPDATE marts.fct_case SET case_kind_code = '1' WHERE hash(case_number, {chance.random()}) % 2 = 0",
            f"UPDATE marts.fct_case SET outcome_code = 'denied' WHERE hash(case_number, {chance.random()}) % {share} = 0",
            f"UPDATE marts.fct_case SET region_code = NULL WHERE hash(case_number, {chance.random()}) % {share} = 0",
            f"UPDATE marts.fct_case SET region_code = '430104001' WHERE hash(case_number, {chance.random()}) % 3 = 0",
            f"DELETE FROM marts.fct_case WHERE hash(case_number, {chance.random()}) % 12 = 0",
            f"UPDATE marts.fct_case SET received_on = received_on + 20 WHERE hash(case_number, {chance.random()}) % 20 = 0 AND received_on < '2026-06-10'",
            UNNAMED,
        ], 4)  # fmt: skip
        publish(settings, rules, run=run, changes=[*changes, "DELETE FROM marts.mart_sync_run"], cases=600)
        covered += f" OR received_on BETWEEN '{period.first}' AND '{period.last}'"
        before = dict(above.known)
        try:
            package = service.build(settings, "case", period, AT, rules=rules, vanished=1)
            above.take(lines(settings, package.number))
        except YiwangError as error:
            assert error.code == "YW-REPORT-003"
        with pytest.raises(YiwangError, match="此后没有变化"):
            service.build(settings, "case", period, AT, rules=rules, vanished=1)
        now = {
            ("sample", key): (kind, outcome, region, is_good)
            for key, kind, outcome, region, is_good in query(
                settings,
                f"""SELECT case_number, case_kind_code, outcome_code, region_code, case_kind_code <> 'X9' AND region_code IS NOT NULL AND matter_code NOT IN
                    (SELECT matter_code FROM marts.dim_matter WHERE matter_name IS NULL) FROM marts.fct_case
                    WHERE {covered} OR list_contains({[key for _, key in before] or [""]}, case_number)""")
        }  # fmt: skip
        for key, (kind, outcome, region, is_good) in now.items():
            if is_good:
                assert tuple(above.known[key][field] for field in ("case_kind_code", "outcome_code", "region_code")) == (kind, outcome, region)
            else:
                assert above.known.get(key) == before.get(key)  # the last good version stays until it is mended
        assert set(above.known) <= set(now)


def test_what_was_held_goes_out_once_when_it_is_mended(settings: Settings, rules: Path) -> None:
    publish(settings, rules, changes=[BAD_KIND])
    first = service.build(settings, "case", MAY, AT, rules=rules)
    held = {line["record_key"] for line in held_lines(settings, first.number)}
    publish(settings, rules, run=1)
    second = service.build(settings, "case", JUNE, AT, rules=rules)
    actions = {action: {line["case_number"] for line in lines(settings, second.number) if line["action"] == action} for action in ("new", "late")}
    assert held and actions["late"] == held and len(actions["new"]) == second.rows - len(held)
    with pytest.raises(YiwangError) as caught:
        service.build(settings, "case", JUNE, AT, rules=rules)
    assert caught.value.code == "YW-REPORT-003"
    manifest = service.read_manifest(service.folder_of(settings, second.number))
    assert manifest.previous is not None and (manifest.previous.package, manifest.previous.manifest_sm3) == (first.number, first.manifest_sm3)


def test_deleted_records_are_withdrawn_unless_too_many_vanish(settings: Settings, rules: Path) -> None:
    publish(settings, rules)
    service.build(settings, "case", SPRING, AT, rules=rules)
    few = "DELETE FROM marts.fct_case WHERE case_number IN (SELECT case_number FROM marts.fct_case WHERE received_on >= '2026-06-01' ORDER BY 1 LIMIT 3)"
    publish(settings, rules, run=1, changes=[few, "UPDATE marts.mart_sync_run SET deleted = 3 WHERE subject = 'case'"])
    package = service.build(settings, "case", JUNE, AT, rules=rules)
    gone = lines(settings, package.number)
    assert [line["action"] for line in gone] == ["withdraw"] * 3 and all(line["matter_code"] is None for line in gone)
    publish(settings, rules, run=2, changes=["DELETE FROM marts.fct_case WHERE received_on < '2026-06-20'", "DELETE FROM marts.mart_sync_run"])
    with pytest.raises(YiwangError, match="像是来源不完整") as caught:
        service.build(settings, "case", JUNE, AT, rules=rules)
    assert caught.value.code == "YW-REPORT-011"
    assert service.build(settings, "case", JUNE, AT, rules=rules, vanished=1).rows > 100  # withdrawals, and the three that are back


# "not checked" never looks like "good"


@pytest.mark.parametrize("table", ["quality_violation", "quality_check", "check_result"])
def test_no_ledger_no_package(settings: Settings, rules: Path, table: str) -> None:
    publish(settings, rules, changes=[f"!DROP TABLE marts.{table}"])
    with pytest.raises(YiwangError, match=table) as caught:
        service.build(settings, "case", JUNE, AT, rules=rules)
    assert caught.value.code == "YW-REPORT-004"


@pytest.mark.parametrize(("change", "part"), [
    ("!DELETE FROM marts.quality_violation", r"应列出 \d+ 条问题，实有 0 条"),
    ("!UPDATE marts.quality_violation SET healed_at = first_seen_at", "实有 0 条"),
    ("!DELETE FROM marts.quality_violation WHERE rule_id = 'case_region_given' AND hash(record_key) % 3 = 0", "规则 case_region_given"),
    ("!DELETE FROM marts.quality_violation WHERE table_name = 'dim_matter'", "规则 matter_named 无日期 应列出 1 条问题，实有 0 条"),  # of what a case belongs to
    ("!UPDATE marts.quality_check SET rows_failed = 0, rows_listed = 0", "应列出 0 条问题，实有"),
    ("!UPDATE marts.quality_check SET rows_failed = 0", "却只查出 0 条"),
])  # fmt: skip
@pytest.mark.parametrize("subject", ["case", pytest.param("case_event", marks=pytest.mark.slow)])
def test_a_ledger_of_violations_that_contradicts_itself_is_not_reported_from(settings: Settings, rules: Path, change: str, part: str, subject: str) -> None:
    publish(settings, rules, changes=[BAD_REGION, UNNAMED, change])
    with pytest.raises(YiwangError, match=part) as caught:
        service.build(settings, subject, JUNE, AT, rules=rules)
    assert caught.value.code == "YW-REPORT-004" and "请重新运行 yiwang run" in str(caught.value)
    assert service.packages(settings) == []


@pytest.mark.parametrize(("change", "unchecked"), [
    ("!DELETE FROM marts.quality_check WHERE rule_id = 'case_kind_known' AND partition_on = '2026-06-05'", "received_on = '2026-06-05'"),
    ("!UPDATE marts.quality_check SET status = 'not_evaluated', reason = '超时' WHERE rule_id = 'case_kind_known' AND partition_on >= '2026-06-20'", "received_on >= '2026-06-20'"),
    ("!INSERT INTO marts.quality_check SELECT '019f1a2b-0000-7000-8000-00000000000f', rule_id, table_name, partition_on, 0, 0, 0, 'not_evaluated', '超时' "
     "FROM marts.quality_check WHERE rule_id = 'case_region_given' AND partition_on = '2026-06-05'", "received_on = '2026-06-05'"),
    ("!INSERT INTO marts.quality_check SELECT run_id, rule_id, table_name, NULL, 0, 0, 0, 'not_evaluated', '超时' FROM marts.quality_check "
     "WHERE rule_id = 'case_region_given' LIMIT 1", "true"),
    ("!DELETE FROM marts.quality_check WHERE table_name = 'dim_matter'", "true"),
    ("!UPDATE marts.check_result SET sql = sql || ' ' WHERE check_name = 'case_kind_known'", "true"),  # the rule is another now
    ("!UPDATE marts.quality_check SET status = 'missing', partition_on = NULL WHERE rule_id = 'case_kind_known'", "true"),
    ("!DELETE FROM marts.quality_check WHERE rule_id = 'case_channel_given'", "false"),  # it blocks nothing
])  # fmt: skip
def test_what_was_not_checked_is_not_reported(settings: Settings, rules: Path, change: str, unchecked: str) -> None:
    publish(settings, rules, changes=[change])
    package = service.build(settings, "case", JUNE, AT, rules=rules)
    left = {key for key, in query(settings, f"SELECT case_number FROM marts.fct_case WHERE received_on >= '2026-06-01' AND NOT ({unchecked})")}
    assert {line["case_number"] for line in lines(settings, package.number)} == left
    reasons = {line["rule_id"] for line in held_lines(settings, package.number)}
    assert reasons <= {"not_checked", "parent_held"} and bool(reasons) == (unchecked != "false")


def test_a_new_blocking_rule_holds_everything_until_a_run_has_checked_it(settings: Settings, rules: Path) -> None:
    publish(settings, rules)
    entry = (rules / "sample.yml").read_text(encoding="utf-8").split("- id: ")[1].replace("case_kind_known", "case_kind_known_too")
    (rules / "more.yml").write_text("- id: " + entry, encoding="utf-8")
    package = service.build(settings, "case", JUNE, AT, rules=rules)
    assert package.rows == 0 and package.held > 0
    assert {line["message"] for line in held_lines(settings, package.number)} == {"未经检查：case_kind_known_too（没有执行记录）"}
    assert lines(settings, package.number) == []  # an empty package is a sound one


def test_violations_that_the_ledger_only_counted_hold_their_records_too(settings: Settings, rules: Path) -> None:
    sampled = ["!DELETE FROM marts.quality_violation WHERE rule_id = 'case_region_given' AND hash(record_key) % 2 = 0",
               "!UPDATE marts.quality_check AS c SET rows_listed = (SELECT count(*) FROM marts.quality_violation AS v WHERE v.rule_id = c.rule_id "
               "AND v.partition_on = c.partition_on) WHERE rule_id = 'case_region_given'"]  # fmt: skip
    publish(settings, rules, changes=[BAD_REGION, *sampled])
    package = service.build(settings, "case", SPRING, AT, rules=rules)
    assert all(line["region_code"] for line in lines(settings, package.number))
    [(bad,)] = query(settings, "SELECT count(*) FROM marts.fct_case WHERE region_code IS NULL AND received_on >= '2026-01-01'")
    assert package.held == bad == len(held_lines(settings, package.number))


def test_a_violation_that_is_listed_twice_holds_its_record_once(settings: Settings, rules: Path) -> None:
    publish(settings, rules, changes=[BAD_REGION, "!INSERT INTO marts.quality_violation FROM marts.quality_violation"])
    package = service.build(settings, "case", SPRING, AT, rules=rules)
    assert package.held == len(held_lines(settings, package.number)) > 0


# bad input


@pytest.mark.parametrize("text", ["2026", "2026-13", "2026-06-31", "2026-06-30..2026-06-01", "", "06-2026", "2026-06..2026-07", "9999-99"])
def test_a_period_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(YiwangError) as caught:
        Period.parse(text)
    assert caught.value.code == "YW-REPORT-002"


@pytest.mark.parametrize("text", ["2026-06", "2024-02", "2026-06-15", "2026-06-01..2026-06-15", "2025-12"])
def test_a_period_is_written_as_it_is_read(text: str) -> None:
    assert str(Period.parse(text)) == text


@pytest.mark.parametrize(("subject", "period", "code"), [
    ("casex", "2026-06", "YW-REPORT-001"), ("department", "2026-06", "YW-REPORT-001"), ("case", "2026-07", "YW-REPORT-002"),
    ("case", "2026-06-15..2026-07-01", "YW-REPORT-002"), ("case", "1999-01", "YW-REPORT-002"),
])  # fmt: skip
def test_bad_orders_are_refused_and_leave_nothing(settings: Settings, rules: Path, subject: str, period: str, code: str) -> None:
    publish(settings, rules)
    with pytest.raises(YiwangError) as caught:
        service.build(settings, subject, Period.parse(period), AT, rules=rules)
    assert caught.value.code == code
    assert service.packages(settings) == [] and not list((settings.home / "reporting" / "building").glob("*"))


def test_nothing_published_nothing_reported(settings: Settings, rules: Path) -> None:
    with pytest.raises(YiwangError) as caught:
        service.build(settings, "case", JUNE, AT, rules=rules)
    assert caught.value.code == "YW-STORE-001"


def test_older_data_does_not_take_back_what_was_reported(settings: Settings, rules: Path) -> None:
    publish(settings, rules)
    service.build(settings, "case", JUNE, AT, rules=rules)
    publish(settings, rules, run=1, changes=["DELETE FROM marts.mart_sync_run"], as_of=AS_OF - timedelta(days=3))
    with pytest.raises(YiwangError, match="早于上一包") as caught:
        service.build(settings, "case", MAY, AT, rules=rules)
    assert caught.value.code == "YW-REPORT-002"


def test_packages_without_their_ledger_are_not_reported_again(settings: Settings, rules: Path) -> None:
    publish(settings, rules)
    service.build(settings, "case", JUNE, AT, rules=rules)
    ledger = settings.home / "reporting" / "ledger.duckdb"
    kept = ledger.read_bytes()
    for spoil in (ledger.unlink, lambda: ledger.write_bytes(b"no database"), lambda: ledger.write_bytes(kept[: len(kept) // 2])):
        ledger.write_bytes(kept)
        spoil()
        with pytest.raises(YiwangError) as caught:
            service.build(settings, "case", MAY, AT, rules=rules)
        assert caught.value.code == "YW-REPORT-007"
    ledger.write_bytes(kept)
    assert service.build(settings, "case", MAY, AT, rules=rules).rows


# on demand


@pytest.fixture
def reported(settings: Settings, rules: Path) -> Iterator[list[str]]:
    publish(settings, rules, changes=[BAD_KIND])
    package = service.build(settings, "case", JUNE, AT, rules=rules)
    yield [line["case_number"] for line in lines(settings, package.number)]


def test_records_are_corrected_and_withdrawn_on_demand(settings: Settings, rules: Path, reported: list[str]) -> None:
    some = reported[:3]
    again = service.correct(settings, "case", some, AT, rules=rules)
    assert [(line["action"], line["case_number"]) for line in lines(settings, again.number)] == [("correct", key) for key in some]
    back = service.withdraw(settings, "case", some[:2], AT, rules=rules)
    assert [(line["action"], line["case_number"]) for line in lines(settings, back.number)] == [("withdraw", key) for key in some[:2]]
    with pytest.raises(YiwangError, match="已经撤回"):
        service.withdraw(settings, "case", some, AT, rules=rules)
    with pytest.raises(YiwangError) as caught:  # what was withdrawn does not come back by itself
        service.build(settings, "case", JUNE, AT, rules=rules)
    assert caught.value.code == "YW-REPORT-003"
    assert service.correct(settings, "case", some[:1], AT, rules=rules).rows == 1
    changed = f"UPDATE marts.fct_case SET outcome_code = 'denied' WHERE case_number = '{some[1]}'"
    publish(settings, rules, run=1, changes=[BAD_KIND, changed])
    last = service.build(settings, "case", JUNE, AT, rules=rules)
    assert [(line["action"], line["case_number"]) for line in lines(settings, last.number)] == [("new", some[1])]
    assert [package.kind for package in service.packages(settings, "case")] == ["build", "correct", "withdraw", "correct", "build"]
    assert service.packages(settings, "case")[1].period is None


def test_one_bad_key_stops_the_whole_order(settings: Settings, rules: Path, reported: list[str]) -> None:
    publish(settings, rules, run=1, changes=[f"UPDATE marts.fct_case SET case_kind_code = 'X9' WHERE case_number = '{reported[0]}'",
                                             f"DELETE FROM marts.fct_case WHERE case_number = '{reported[1]}'"])  # fmt: skip
    for keys, part in (([reported[0]], "不予上报"), ([reported[2], reported[1]], "来源已没有"), ([reported[2], "none"], "没有上报过"), ([" "], "没有给出主键")):
        with pytest.raises(YiwangError, match=part) as caught:
            service.correct(settings, "case", keys, AT, rules=rules)
        assert caught.value.code == "YW-REPORT-008"
    assert len(service.packages(settings)) == 1


def test_resending_gives_the_same_bytes_or_says_why_not(settings: Settings, rules: Path, reported: list[str], tmp_path: Path) -> None:
    number = service.packages(settings)[0].number
    source = service.folder_of(settings, number)
    target = service.resend(settings, number, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {path.name: path.read_bytes() for path in source.iterdir()}
    with pytest.raises(YiwangError, match="已经存在"):
        service.resend(settings, number, tmp_path / "out")
    with pytest.raises(YiwangError) as caught:
        service.resend(settings, "case-000009", tmp_path / "out")
    assert caught.value.code == "YW-REPORT-006"
    with (source / "case.jsonl").open("ab") as file:
        file.write(b"{}\n")
    with pytest.raises(YiwangError, match=r"case\.jsonl 的内容与清单不符"):
        service.resend(settings, number, tmp_path / "other")
    assert not list((tmp_path / "other").glob("*"))


def test_held_records_can_be_looked_at_without_a_package(settings: Settings, rules: Path, tmp_path: Path) -> None:
    publish(settings, rules, changes=[BAD_KIND])
    rows = service.held(settings, "case", SPRING, tmp_path / "lists", rules=rules)
    [(bad,)] = query(settings, "SELECT count(*) FROM marts.fct_case WHERE case_kind_code = 'X9' AND received_on >= '2026-01-01'")
    assert sum(row.first for row in rows) == bad > 0 and {row.rule_id for row in rows} == {"case_kind_known"}
    assert all(row.department_name and row.department_name != row.department_code for row in rows)
    assert {path.stem for path in (tmp_path / "lists").glob("*.jsonl")} == {row.department_code for row in rows}
    assert service.packages(settings) == []
    with pytest.raises(YiwangError, match="已经存在"):
        service.held(settings, "case", SPRING, tmp_path / "lists", rules=rules)


def test_packages_and_what_they_held_back_can_be_looked_at_while_one_is_built(settings: Settings, rules: Path) -> None:
    publish(settings, rules, changes=[BAD_KIND])
    assert service.built(settings) == ([], 0)
    numbers = [service.build(settings, "case", period, AT, rules=rules).number for period in (MAY, JUNE)] + [service.build(settings, "matter", JUNE, AT, rules=rules).number]
    with ledger.opened(settings):  # who builds has the ledger to itself; nobody who looks waits for it
        found, count = service.built(settings, size=2)
        assert ([manifest.package for manifest in found], count) == (numbers[:0:-1], 3)
        assert [manifest.package for manifest in service.built(settings, number=2, size=2)[0]] == numbers[:1]
        assert [manifest.package for manifest in service.built(settings, "matter")[0]] == numbers[2:]
        groups = service.held_groups(settings, numbers[1])
        assert sum(group.first for group in groups) == service.manifest_of(settings, numbers[1]).reconciliation.held_back  # type: ignore[union-attr]
        one = groups[0]
        told, of_department = service.held_lines(settings, numbers[1], one.department_code, size=3)
        assert of_department == sum(group.all for group in groups if group.department_code == one.department_code) and len(told) == min(3, of_department)
        assert {(line.department_code, line.department_name, line.rule) for line in told} == {(one.department_code, one.department_name, one.rule)}
        every = [line.record_key for page in (1, 2, 3, 4) for line in service.held_lines(settings, numbers[1], None, page, 5)[0]]
        assert len(set(every)) == len(every) == min(20, service.held_lines(settings, numbers[1], None)[1])
        assert {path.stem for path in service.held_files(settings, numbers[1])} == {group.department_code for group in groups}
        assert service.held_groups(settings, numbers[2]) == [] and service.held_lines(settings, numbers[2], None) == ([], 0)
    for name in ("case-000009", "..", "../packages/case-000001"):
        with pytest.raises(YiwangError) as caught:
            service.manifest_of(settings, name)
        assert caught.value.code == "YW-REPORT-006"


def test_days_are_those_of_the_period(settings: Settings, rules: Path) -> None:
    publish(settings, rules)
    package = service.build(settings, "case", Period(date(2026, 6, 10), date(2026, 6, 12)), AT, rules=rules)
    [(count,)] = query(settings, "SELECT count(*) FROM marts.fct_case WHERE received_on BETWEEN '2026-06-10' AND '2026-06-12'")
    assert package.rows == count
