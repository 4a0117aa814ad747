"""The catalogue and the configuration of sources in a real browser on a real server."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from models.domain.settings import Settings
from models.store.configuration import ConfigurationFile
from tests.support.catalogue import LOST, publish_with_catalogue

Open = Callable[..., tuple[Page, object]]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
FILE = "# what the city sends\nsources:\n- name: hall\n  subject: case\n  location: uploads/*.csv\n"
PAGES = ["/catalogue", "/catalogue/tables/marts.fct_case", "/catalogue/lineage", "/catalogue/partitions?table=marts.fct_certificate&source=city", "/sources", "/sources/edit", "/sources/entry/0"]


@pytest.fixture(scope="module")
def desk(serve, tmp_path_factory: pytest.TempPathFactory):  # noqa: ANN201 - a server of the conftest
    """A server whose snapshot has a catalogue and whose home has a source."""
    settings = Settings(home=tmp_path_factory.mktemp("catalogue"))
    publish_with_catalogue(settings)
    (settings.home / "uploads").mkdir()
    (settings.home / "uploads" / "cases.csv").write_text("办件编号,收件时间,联系人手机号码,多余\nA-1,2026-06-01 09:00,13800138000,x\nA-2,2026年13月,13900139000,y\n", encoding="utf-8")
    (settings.home / "sources.yml").write_text(FILE, encoding="utf-8")
    return serve(settings, YIWANG_DEV="1")


def sources(desk) -> str:
    return (desk.settings.home / "sources.yml").read_text(encoding="utf-8")


def test_a_column_leads_to_its_table(desk, open_page: Open) -> None:
    page, seen = open_page(desk.base, "/")
    page.get_by_role("link", name="数据目录").click()
    expect(page.locator("tr[data-source='city/certificate']")).to_contain_text("滞后")
    page.get_by_label("表或列").fill("满意度")
    page.get_by_role("button", name="查找").click()
    expect(page.locator("#tables")).to_have_text("找到 1 张表")
    page.get_by_role("link", name="好差评").first.click()
    expect(page.locator("h1")).to_have_text("好差评")
    row = page.locator("tr[data-column='satisfaction_code']")
    expect(row).to_contain_text("9.7")
    row.locator("summary").click()
    expect(row).to_contain_text("非常满意")
    assert not seen.outside and not seen.errors


def test_the_lineage_is_walked_with_the_keyboard(desk, open_page: Open) -> None:
    page, seen = open_page(desk.base, "/catalogue/lineage?around=marts.fct_case", viewport={"width": 1280, "height": 900})
    box = page.locator("svg a[aria-label*='marts.mart_department_day']")
    box.focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("部门每日指标")
    page.goto(desk.base + "/catalogue/lineage")
    expect(page.locator("tr[data-product='marts.fct_case']")).to_contain_text("staging.stg_case")
    assert not seen.outside and not seen.errors


def test_missing_and_unexpected_days_are_drawn_and_listed(desk, open_page: Open) -> None:
    page, seen = open_page(desk.base, "/catalogue")
    page.locator("tr[data-source='city/certificate']").get_by_role("link", name="2 / 1").click()
    assert page.locator("rect.missing title").all_text_contents() == [f"{day}：缺失" for day in LOST]
    for day in LOST:
        expect(page.locator(f"tr[data-partition='{day}']")).to_contain_text("工作日没有记录")
    expect(page.locator("tr[data-partition='0001-01-01']")).to_contain_text("早于合理日期")
    assert not seen.outside and not seen.errors


def test_a_source_is_edited_checked_tried_and_saved(desk, open_page: Open) -> None:
    page, seen = open_page(desk.base, "/sources")
    page.get_by_role("link", name="编辑", exact=True).click()
    page.get_by_label("负责人").fill("政务大厅")
    page.get_by_role("button", name="检查").click()
    expect(page.get_by_role("status")).to_contain_text("检查通过", timeout=60_000)
    page.get_by_role("button", name="试读").click()
    expect(page.get_by_role("status")).to_contain_text("试读完成", timeout=60_000)
    tried = page.locator("section[aria-labelledby=tried]")
    expect(tried).to_contain_text("A-1")
    expect(tried).to_contain_text("会被隔离的行（1）")
    expect(tried).to_contain_text("多余")
    expect(tried).not_to_contain_text("13800138000")
    expect(page.get_by_label("负责人")).to_have_value("政务大厅")
    assert sources(desk) == FILE
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_role("status")).to_contain_text("已保存", timeout=60_000)
    assert sources(desk) == FILE + "  owner: 政务大厅\n"
    page.get_by_role("link", name="之前的版本").first.click()
    page.get_by_role("button", name="恢复这个版本").click()
    expect(page.get_by_role("status")).to_contain_text("已保存", timeout=60_000)
    assert sources(desk) == FILE
    assert [(one.who, one.what) for one in ConfigurationFile(desk.settings.home).log()] == [("developer", "restore"), ("developer", "save")]
    assert not seen.outside and not seen.errors


def test_a_wrong_file_shows_its_sentence_and_a_conflict_is_refused(desk, open_page: Open) -> None:
    page, seen = open_page(desk.base, "/sources/edit")
    page.locator("#text").fill(FILE + "  bogus: 1\n")
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_role("alert")).to_contain_text("第 1 个来源“hall”的 bogus：没有这个设置", timeout=60_000)
    (desk.settings.home / "sources.yml").write_text(FILE + "# by hand\n", encoding="utf-8")
    page.locator("#text").fill(FILE + "# by page\n")
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_role("alert")).to_contain_text("已被他人修改", timeout=60_000)
    assert sources(desk) == FILE + "# by hand\n"
    (desk.settings.home / "sources.yml").write_text(FILE, encoding="utf-8")
    assert not seen.outside


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_scrolls_in_one_direction(desk, open_page: Open, path: str) -> None:
    page, seen = open_page(desk.base, path, **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("""[...document.querySelectorAll('button, .button, .tabs a, input:not([type=hidden]), select')]
        .filter(e => e.getBoundingClientRect().height < 43.5).map(e => e.outerHTML)""") == []
    assert not seen.outside and not seen.errors


def test_a_viewer_finds_no_way_to_the_configuration(guarded, open_page: Open) -> None:
    from tests.e2e.conftest import TOKEN

    page, _ = open_page(guarded.base, "/login?next=/sources")
    page.get_by_label("访问令牌").fill(TOKEN)
    page.get_by_role("button", name="登录").click()
    expect(page.locator("#main")).to_contain_text("没有权限")
    assert httpx.get(guarded.base + "/sources", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 403
    assert not Path(guarded.settings.home / "sources.yml").exists()
