"""The quality ledger's API and pages over a made-up ledger: figures, drill-down, export, history of a record, text that stays text."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import duckdb
import httpx
import pytest
from pydantic import BaseModel

from models.domain.ids import uuid7
from models.domain.settings import Settings
from models.store.quality import QualityRepository, Wanted
from models.store.resources import QUALITY
from models.store.snapshots import SnapshotStore
from models.store.warehouse import WarehouseRepository, sortable
from quality.ledger.tables import TABLES, open_ledger
from quality.profile.tables import COLUMNS, open_tables
from serving.api.warehouse import quality as api
from serving.api.warehouse.parameters import ListParameters
from serving.web.quality import moments, ran_at, scorecard, trend
from tests.support.server import running
from tests.support.snapshots import AS_OF, RUN_ID, write_marts

ANSWERS: dict[str, type[BaseModel]] = {"violations": api.Violation, "rules": api.RuleState, "checks": api.PartitionCheck, "departments": api.DepartmentDay, "days": api.RuleDay, "suspicions": api.Suspicion, "profile": api.ColumnProfile}
PARAMETERS: dict[str, type[BaseModel]] = {
    "violations": api.ViolationParameters, "rules": api.RuleParameters, "checks": api.CheckParameters, "departments": api.DepartmentParameters, "days": api.DayParameters,
    "suspicions": api.SuspicionParameters, "profile": api.ProfileParameters,
}  # fmt: skip
EVIL = "=cmd()<script>window.hurt=1</script>"
PAGES = ("/quality", "/quality/rules", "/quality/violations", "/quality/violations?state=all&severity=blocks", f"/quality/record?table=fct_case&source=city&key={EVIL}", "/quality/suspicions", "/quality/suspicions?kind=pattern&unruled=true", "/quality/profile", "/quality/profile?table=fct_case")
EARLIER = AS_OF - timedelta(days=30)


def write_ledger(settings: Settings) -> None:
    """Two departments, three rules, one of which could not be evaluated."""
    settings.marts.unlink(missing_ok=True)
    write_marts(settings.marts, 200)
    with duckdb.connect(str(settings.marts)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        open_ledger(connection)
        open_tables(connection)
        for table, column in (("catalogue_column", "column_name VARCHAR, "), ("catalogue_table", "")):
            connection.execute(f"CREATE TABLE marts.{table} (table_name VARCHAR, {column}title VARCHAR)")
        connection.execute("INSERT INTO marts.catalogue_table VALUES ('marts.fct_case', '办件')")
        codes = [row[0] for row in connection.execute("SELECT department_code FROM marts.dim_department ORDER BY 1 LIMIT 2").fetchall()]

        def put(table: str, *rows: tuple[object, ...]) -> None:
            connection.executemany(f"INSERT INTO marts.{table} VALUES ({', '.join('?' * len(rows[0]))})", rows)

        rule = ("department", "GB/T 39046-2020", "表5", "请补填收件时间", RUN_ID)
        put(
            "quality_rule",
            ("case_required", "fct_case", "case", "completeness", "blocks", False, "办件缺少收件时间", *rule, "evaluated", None, 0, "f1", None),
            ("case_same_minute", "fct_case", "case", "timeliness", "advises", False, "疑为补录", *rule, "evaluated", None, 0, "f2", None),
            ("runaway", "fct_review", "review", "accuracy", "counts", False, "失控的规则", *rule, "not_evaluated", "超过 30 秒，已停止", 0, "f3", None),
        )
        for name, status in (("no_rows", "empty"), ("no_table", "missing")):
            connection.execute("INSERT INTO marts.quality_rule BY NAME SELECT * REPLACE (? AS rule_id, ? AS status) FROM marts.quality_rule WHERE rule_id = 'runaway'", [name, status])
        day = date(2026, 6, 1)
        put(
            "quality_check",
            (RUN_ID, "case_required", "fct_case", day, 100, 5, 3, "evaluated", None), (RUN_ID, "case_same_minute", "fct_case", day, 100, 1, 1, "evaluated", None),
            (RUN_ID, "case_required", "fct_case", None, 10, 0, 0, "evaluated", None),
        )  # fmt: skip
        put(
            "mart_quality_department_day",
            (day, codes[0], "case_required", "case", "completeness", "blocks", 60, 5), (day, codes[1], "case_required", "case", "completeness", "blocks", 40, 0),
            (day, codes[1], "case_same_minute", "case", "timeliness", "advises", 40, 40), (day, None, "case_required", "case", "completeness", "blocks", 10, 0),
        )  # fmt: skip
        put(
            "mart_quality_rule_day",
            (EARLIER.date(), "case_required", 100, 8, 8, 0, "evaluated"), (AS_OF.date(), "case_required", 100, 5, 1, 4, "evaluated"),
        )  # fmt: skip
        seen = (RUN_ID, AS_OF)
        put(
            "quality_violation",
            ("case_required", "fct_case", "city", EVIL, "received_at", None, codes[0], day, "blocks", "completeness", EVIL, "r1", EARLIER, *seen, None, None, 0),
            ("case_required", "fct_case", "city", "C2", "received_at", EVIL, codes[0], day, "blocks", "completeness", "缺少收件时间", "r1", EARLIER, "r1", EARLIER, RUN_ID, AS_OF, 1),
            ("case_same_minute", "fct_case", "city", "C2", None, None, codes[1], day, "advises", "timeliness", "疑为补录", *seen, *seen, None, None, 0),
            ("case_required", "dim_region", None, "430104", None, None, None, None, "blocks", "completeness", "没有名称", *seen, *seen, None, None, 0),
        )  # fmt: skip
        put(
            "quality_suspicion",
            (RUN_ID, AS_OF, "pattern", "fct_case", "city", "C2", codes[0], day, 0.8, 1, True, "3 时收件，同一渠道很少见"),
            (RUN_ID, AS_OF, "pattern", "fct_case", "city", "C3", codes[0], day, 0.7, 2, False, EVIL),
            (RUN_ID, AS_OF, "levels", "fct_review", None, "unsatisfied", codes[1], None, 0.9, 1, None, "主动评价 30 条中 28 条在“基本满意”及以下"),
        )  # fmt: skip
        quantiles = ("1", "2", "3", "4", "5", "6", "7")
        common = '[{"value": "<b>1</b>", "share": 0.61}]'
        for month, drifted in ((date(2026, 5, 1), False), (date(2026, 6, 1), True)):
            put(
                "quality_profile",
                (month, RUN_ID, AS_OF, "fct_case", "channel_code", 1, "VARCHAR", False, 1000, 999, 3, *quantiles, 3.5, common, None, 1000, "{}", "psi", 0.4, 0.1, "month", drifted, "取值“2”占 60.0%，上月占 5.0%" if drifted else None),
                (month, RUN_ID, AS_OF, "fct_case", "applicant_name_masked", 2, "VARCHAR", True, 1000, 1, 90, *(None,) * 8, None, '[{"value": "文*", "share": 1.0}]', 1000, "{}", *(None,) * 6),
            )  # fmt: skip
    SnapshotStore(settings).publish(settings.marts, RUN_ID, AS_OF, AS_OF)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(home=tmp_path_factory.mktemp("quality"), dev=True)
    write_ledger(settings)
    return settings


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[httpx.Client]:
    with running(settings) as asking:
        yield asking


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_answers_parameters_and_tables_agree(client: httpx.Client, settings: Settings, name: str) -> None:
    resource = QUALITY[f"quality/{name}"]
    rows = WarehouseRepository(SnapshotStore(settings)).page(f"quality/{name}", limit=200).items
    assert rows and set(PARAMETERS[name].model_fields) - set(ListParameters.model_fields) == set(resource.filters)
    for row in rows:
        ANSWERS[name].model_validate(row, strict=True, extra="forbid")
    written = COLUMNS.get(resource.table) or [column.split()[0] for column in TABLES[resource.table].replace("\n", " ").split(",")]
    assert list(ANSWERS[name].model_fields) == list(written)
    page = client.get(f"/api/v1/quality/{name}", params={"count": "true", "limit": 2}).json()
    assert page["as_of"] == "2026-06-30T15:59:59Z" and page["count"] >= len(page["items"]) > 0


@pytest.mark.parametrize("name", sorted(QUALITY))
def test_every_list_pages_through(settings: Settings, name: str) -> None:
    repository = WarehouseRepository(SnapshotStore(settings))
    for sort in sortable(name):
        cursor, found = None, []
        while True:
            page = repository.page(name, sort=sort, limit=1, cursor=cursor, count=True)
            found += page.items
            if (cursor := page.next) is None:
                break
        assert len({repr(row) for row in found}) == len(found) == page.count


def test_the_scorecard_leaves_advice_out_and_names_what_was_not_evaluated(client: httpx.Client) -> None:
    item = client.get("/api/v1/quality/scorecard").json()["item"]
    api.Scorecard.model_validate(item)
    assert {name: item[name] for name in ("rows_checked", "rows_failed", "open", "blocking", "advice", "opened", "healed", "evaluated", "empty", "not_evaluated")} == {
        "rows_checked": 110, "rows_failed": 5, "open": 2, "blocking": 2, "advice": 1, "opened": 1, "healed": 1, "evaluated": 2, "empty": 1, "not_evaluated": 2,
    }  # fmt: skip
    assert [(cell["rows_checked"], cell["rows_failed"]) for cell in item["cells"]] == [(60, 5), (40, 0), (10, 0)]
    assert [(row["records"], row["records_failed"]) for row in item["departments"]] == [(10, 1), (60, 1), (40, 0)]  # advice spoils no record; the worst share first
    page = client.get("/quality").text
    assert "1.67%" in page and "另有" in page and "本次整改 1 个" in page
    assert "91.67%" in page and "未评估 2 条，没有可检查的行 1 条" in page and "超过 30 秒，已停止" in page and "未注明部门" in page
    rules = client.get("/quality/rules").text
    assert "未评估" in rules and "列出 3 条，其余只计数" in rules


def test_a_figure_leads_to_as_many_violations(client: httpx.Client) -> None:
    page = client.get("/quality").text
    for link, shown in re.findall(r'href="(/quality/violations[?][^"]*)"[^>]*>(?:提示 )?([0-9,]+)', page):
        answer = client.get(link.replace("&amp;", "&")).text
        found = int(re.search(r'class="count">([0-9,]+) 条', answer)[1].replace(",", ""))  # type: ignore[index]
        assert found == int(shown.replace(",", "")), link
    assert client.get("/quality/violations?severity=counted").text.count("data-title=\"等级\"") == 2
    assert "<td class=\"n\" data-title=\"问题项次\">5</td>" in page, "the trend leaves advice out"


def test_filters_take_what_people_know_of_a_rule_or_record(client: httpx.Client) -> None:
    assert "2 条" in client.get("/quality/violations", params={"rule": "缺少收件"}).text and "1 条" in client.get("/quality/violations?rule=case_same_minute").text
    assert "1 条" in client.get("/quality/violations?key=4301").text
    beyond = client.get("/quality/violations?number=99").text
    assert "第 1 / 1 页" in beyond and "C2" in beyond
    assert client.get("/api/v1/quality/violations?severity=foo").status_code == 422
    assert len(client.get("/api/v1/quality/violations?severity=blocks&severity=advises").json()["items"]) == 4


def test_violations_are_narrowed_and_lead_to_the_record(client: httpx.Client) -> None:
    assert "3 条" in client.get("/quality/violations").text
    assert "1 条" in client.get("/quality/violations?state=healed").text and "复发 1 次" in client.get("/quality/violations?state=healed").text
    nobody = client.get("/quality/violations?department=-").text
    assert "430104" in nobody and "C2" not in nobody
    assert client.get("/quality/violations?state=x").status_code == 422
    record = client.get("/quality/record?table=fct_case&source=city&key=C2").text
    assert record.index("发现：办件缺少收件时间") < record.index("发现：疑为补录") and "已整改：办件缺少收件时间" in record
    assert "怎么改：请补填收件时间" in record and "收件时间：" in record and "办件，来源 city" in record and "received_at" not in record
    assert "430104" in client.get("/quality/record?table=dim_region&key=430104").text, "a table without a source"
    assert client.get("/quality/record?table=fct_case&source=city&key=nobody").status_code == 404
    found = client.get("/api/v1/quality/record", params={"table_name": "fct_case", "source": "city", "record_key": "C2"}).json()["item"]
    api.Record.model_validate(found)
    assert [row["rule_id"] for row in found["violations"]] == ["case_required", "case_same_minute"]


def test_suspicions_stand_apart_and_count_nowhere(client: httpx.Client) -> None:
    page = client.get("/quality/suspicions").text
    assert "不计入合格率和任何得分" in page and "多项异常" in page and "评价等级" in page and "28 条" in page
    assert EVIL not in page and "已有问题" in page
    unruled = client.get("/quality/suspicions?unruled=true").text
    assert "3 时收件" not in unruled and "28 条" in unruled
    assert client.get("/quality/suspicions?kind=nothing").status_code == 422
    assert client.get("/api/v1/quality/scorecard").json()["item"]["open"] == 2


def test_the_newest_profile_is_shown_with_what_changed(client: httpx.Client) -> None:
    page = client.get("/quality/profile").text
    assert page.count("取值“2”占 60.0%") == 1 and "办件" in page
    columns = client.get("/quality/profile?table=fct_case").text
    assert "99.9%" in columns and "&lt;0.1%" not in columns and "0.1%" in columns and "个人信息" in columns and "没有可比的" in columns
    assert "<b>1</b>" not in columns and "61.0%" in columns
    assert client.get("/quality/profile?table=nothing").status_code == 404


def test_the_export_is_what_the_list_shows_and_no_formula(client: httpx.Client) -> None:
    answer = client.get("/quality/violations.csv?state=all")
    assert answer.headers["content-disposition"].startswith("attachment") and answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == 4 and f"'{EVIL}" in {row["记录"] for row in rows} and f"'{EVIL}" in {row["值"] for row in rows}
    assert {(row["等级"], row["维度"], row["数据表"], row["字段"]) for row in rows} >= {("不予上报", "完整性", "办件", "收件时间"), ("提示", "时效性", "办件", "")}
    assert all(re.fullmatch(r"2026-\d\d-\d\d \d\d:\d\d:\d\d", row["首次发现"]) for row in rows)
    assert len(list(csv.DictReader(io.StringIO(client.get("/quality/violations.csv?severity=advises").content.decode("utf-8-sig"))))) == 1


@pytest.mark.parametrize("path", PAGES)
def test_pages_need_no_script_and_name_no_other_host(client: httpx.Client, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200 and "<script" not in page.text
    assert "http://" not in page.text.replace("http://www.w3.org", "") and "https://" not in page.text


def test_nobody_reads_without_the_right(settings: Settings) -> None:
    with running(settings.model_copy(update={"dev": False, "api_tokens": None})) as stranger:
        assert {stranger.get(path, follow_redirects=False).status_code for path in ("/quality", "/quality/violations.csv", "/api/v1/quality/violations")} <= {302, 303, 401}


def test_a_snapshot_of_before_the_ledger_says_what_to_do(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(home=tmp_path_factory.mktemp("old"), dev=True)
    write_marts(settings.marts, 20)
    SnapshotStore(settings).publish(settings.marts, RUN_ID, AS_OF, AS_OF)
    with running(settings) as client:
        page = client.get("/quality")
        assert page.status_code == 503 and "quality_" in page.text


def test_the_pictures() -> None:
    cells = [
        {"department_code": "A", "department_name": "甲", "subject": "case", "rows_checked": 10, "rows_failed": 0},
        {"department_code": "B", "department_name": "乙", "subject": "review", "rows_checked": 10, "rows_failed": 5},
        {"department_code": "B", "department_name": "乙", "subject": "case", "rows_checked": 90, "rows_failed": 0},
    ]
    by_records = [{"department_code": "A", "records": 20, "records_failed": 4}, {"department_code": "B", "records": 50, "records_failed": 5}]
    assert [(line["code"], line["spoilt"]) for line in scorecard(cells, by_records).lines] == [("A", 0.2), ("B", 0.1)]
    card = scorecard(cells)
    assert card.subjects == ["case", "review"] and [(line["code"], line["passed"]) for line in card.lines] == [("B", 0.95), ("A", 1.0)]
    assert trend([{"date": date(2026, 1, 1), "rows_failed": 3}]) is None
    chart = trend([{"date": date(2026, 1, n), "rows_failed": n} for n in range(1, 11)])
    assert chart is not None and chart.points[-1]["y"] == 12 and chart.points[0]["x"] == 64 and chart.marks[0][1] == "10"
    at = datetime(2026, 1, 1, tzinfo=UTC)
    first, second = (str(uuid7(at + timedelta(n))) for n in range(2))  # two runs on data of one instant
    row = {"first_seen_at": at, "first_seen_run": first, "last_seen_at": at, "last_seen_run": second, "healed_at": None, "healed_run": None}
    told = moments([row, row | {"healed_at": at, "healed_run": second}])
    assert [(moment["what"], moment["ran_at"]) for moment in told] == [("发现", at), ("发现", at), ("仍未整改", at + timedelta(1)), ("已整改", at + timedelta(1))]
    assert ran_at("r1") is None and ran_at(None) is None and ran_at("00000000-0000-4000-8000-000000000000") is None


def test_pages_of_violations_do_not_overlap(settings: Settings) -> None:
    quality, snapshot = QualityRepository(SnapshotStore(settings)), SnapshotStore(settings).in_service()
    pages = [quality.violations(snapshot, Wanted("all"), number, 3)[0] for number in (1, 2)]
    assert [len(rows) for rows in pages] == [3, 1] and len({(row["rule_id"], row["record_key"]) for rows in pages for row in rows}) == 4


def test_details_of_checks_are_pages_of_their_folder_and_nothing_else(settings: Settings, client: httpx.Client) -> None:
    folder = settings.home / "reports" / "checks" / "run"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text("<p>一页</p>", encoding="utf-8")
    (folder / "secret.key").write_text("x", encoding="utf-8")
    (settings.home / "reports" / "other.html").write_text("x", encoding="utf-8")
    shown = client.get("/checks/run/index.html")
    assert shown.status_code == 200 and "一页" in shown.text and "script-src 'none'" in shown.headers["content-security-policy"]
    for page in ("run/secret.key", "run", "", "%2e%2e/other.html", "..%2fother.html", "run/..%2f..%2fother.html", "run/%00index.html%00.key", "%2fetc%2fpasswd", "nobody.html"):
        assert client.get(f"/checks/{page}").status_code == 404, page
