"""The report of a run, read as HTML."""

import re
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest

from models.capability.service import load_system, score
from models.domain.settings import Settings
from models.reporting.service import render, write_report
from models.store.report import report_figures
from models.store.scores import read_facts, write_scores
from tests.support.snapshots import RUN_ID, write_marts

ROOT = Path(__file__).parents[3]
ZONE = "Asia/Shanghai"


class Page(HTMLParser):
    """Tags, attributes, balance and the text of a page."""

    VOID = {"meta", "br", "link", "img", "hr", "input"}

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("marts") / "masked.duckdb"
    write_marts(path, cases=3000)
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP TABLE marts.score_indicator_month; DROP TABLE marts.score_department_month")
        connection.execute("""UPDATE marts.dim_department SET department_name = '<script>alert(1)</script>局' WHERE department_code LIKE '%4K'""")
        connection.execute("""UPDATE marts.quarantine SET reason = '证件号码“430104199001011234”无法识别'""")
    write_scores(path, score(load_system("routine").model_copy(update={"minimum_indicators": 2}), read_facts(path)))
    return path


@pytest.fixture(scope="module")
def page(marts: Path) -> Page:
    return Page(render(Settings(), marts, RUN_ID))


def test_the_page_is_well_formed_and_fetches_nothing(page: Page) -> None:
    assert page.open == []
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed") and "src" not in attributes
        assert not (attributes.get("href") or "#").startswith(("http", "//"))
    styles = (ROOT / "models" / "reporting" / "templates" / "report.css").read_text(encoding="utf-8")
    assert "url(" not in styles and "@import" not in styles


def test_what_comes_from_data_is_never_markup(page: Page) -> None:
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert "<script>alert(1)</script>局" in page.text


def test_it_says_what_it_stands_on(page: Page) -> None:
    for words in ("自评", "数据截至 2026 年 6 月 30 日 23:59", RUN_ID, "2026 年 6 月，满分 100", "没有计量的内容", "按时办结率", "读取 = 新增"):
        assert words in page.text


def test_values_of_quarantined_records_are_left_out(page: Page) -> None:
    assert "430104199001011234" not in page.text and "证件号码“…”无法识别" in page.text


def test_failed_checks_come_first_with_their_query(page: Page, marts: Path) -> None:
    figures = report_figures(marts, RUN_ID, ZONE)
    outcomes = [check["passed"] for check in figures.checks]
    assert outcomes == sorted(outcomes) and all(check["sql"] in page.text for check in figures.checks)


def test_a_table_has_a_caption_and_its_headings_a_scope(page: Page) -> None:
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") > 5
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    assert all("aria-label" in attributes and "tabindex" in attributes for _, attributes in page.tags if attributes.get("role") == "region")
    assert all(attributes.get("aria-hidden") or attributes.get("role") == "img" for tag, attributes in page.tags if tag == "svg")


def test_figures_lead_to_the_queries_that_give_them(page: Page, marts: Path) -> None:
    figures = report_figures(marts, RUN_ID, ZONE)
    queries = [text for text in re.findall(r"SELECT department_code, sum.*? ORDER BY department_code", page.text)]
    assert len(queries) == 10
    shown = {(r["indicator_code"], r["department_code"]): (r["numerator"], r["denominator"]) for r in figures.indicators}
    with duckdb.connect(str(marts), read_only=True) as connection:
        for query in queries:
            code = re.search(r"measure_code = '(\w+)'", query).group(1)  # type: ignore[union-attr]
            for department, numerator, denominator in connection.execute(query).fetchall():
                assert shown[code, department] == (numerator, denominator)
    assert any((a.get("href") or "").startswith("/api/v1/warehouse/cases?") for _, a in page.tags)


def test_a_null_is_a_dash_with_its_reason(page: Page) -> None:
    assert "— 分母为零 0/0" in page.text.replace("—分母", "— 分母") and "NaN" not in page.text and "None" not in page.text


def test_an_empty_warehouse_has_a_page_too(tmp_path: Path) -> None:
    path = tmp_path / "masked.duckdb"
    write_marts(path, cases=10)
    with duckdb.connect(str(path)) as connection:
        for (table,) in connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'marts'").fetchall():
            connection.execute(f"DELETE FROM marts.{table}")
        connection.execute("DROP TABLE marts.check_result; DROP TABLE marts.run; DROP TABLE marts.score_indicator_month; DROP TABLE marts.score_department_month")
    page = Page(render(Settings(), path, "run-0"))
    assert page.open == [] and "None" not in page.text
    for words in ("数据截至 —", "还没有得分", "仓库中还没有办件", "没有检查结果", "没有隔离的记录", "没有读取任何文件"):
        assert words in page.text


def test_the_page_is_written_whole_as_the_runs_own_and_as_the_latest(marts: Path, tmp_path: Path) -> None:
    written = write_report(Settings(home=tmp_path), marts, RUN_ID)
    assert written == tmp_path / "reports" / f"{RUN_ID}.html"
    assert written.read_bytes() == (tmp_path / "reports" / "latest.html").read_bytes()
    assert sorted(p.name for p in written.parent.iterdir()) == [f"{RUN_ID}.html", "latest.html"]
