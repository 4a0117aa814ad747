"""The pages for citizens: without log-in, without scripts, on a phone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from models.store.pages import MatterSearch, PageRepository
from models.store.snapshots import SnapshotStore

Open = Callable[..., tuple[Page, object]]


def published(server):
    store = SnapshotStore(server.settings)
    return PageRepository(store), store.in_service()


def test_the_directory_works_with_scripts_off(guarded, open_page: Open, tmp_path: Path) -> None:
    pages, snapshot = published(guarded)
    page, seen = open_page(guarded.base, "/matters", java_script_enabled=False)
    everything = pages.matters(snapshot, MatterSearch())
    expect(page.locator("#results")).to_contain_text(f"共 {everything.count} 个事项，第 1 / {everything.pages} 页")
    page.get_by_label("事项名称").fill("施工 许可")
    page.get_by_label("网上办理").select_option("1")
    page.get_by_role("button", name="查找").click()
    found = pages.matters(snapshot, MatterSearch(words=("施工", "许可"), is_online=True))
    assert 0 < found.count < everything.count
    expect(page.locator("#results")).to_contain_text(f"共 {found.count} 个事项")
    assert page.locator(".matter h3").all_inner_texts() == [row["matter_name"] for row in found.items]
    expect(page.get_by_label("事项名称")).to_have_value("施工 许可")
    page.locator(".matter h3 a").first.click()
    first = found.items[0]
    expect(page.locator("h1")).to_have_text(first["matter_name"])
    expect(page.locator(".figure", has_text="承诺办结时限")).to_contain_text("即时办结" if first["promised_limit"] == 0 else f"{first['promised_limit']} 个工作日")
    expect(page.locator(".figure", has_text="法定办结时限")).to_contain_text("20 个工作日")
    page.screenshot(path=tmp_path / "matter.png", full_page=True)
    assert not seen.outside and not seen.errors


def test_the_pages_of_the_directory_hold_every_matter_once(guarded, open_page: Open) -> None:
    pages, snapshot = published(guarded)
    page, _ = open_page(guarded.base, "/matters", java_script_enabled=False)
    links: list[str] = []
    while True:
        links += [link.get_attribute("href") for link in page.locator(".matter h3 a").all()]
        following = page.get_by_role("link", name="下一页")
        if not following.count():
            break
        following.click()
    assert len(links) == len(set(links)) == pages.matters(snapshot, MatterSearch()).count


def test_nothing_found_says_what_to_do(guarded, open_page: Open) -> None:
    page, _ = open_page(guarded.base, "/matters?name=%E6%B2%A1%E6%9C%89%E8%BF%99%E4%B8%AA")
    expect(page.locator(".empty")).to_contain_text("没有找到符合条件的事项")
    page.goto(guarded.base + "/matters/sample/none")
    expect(page.locator("h1")).to_have_text("未找到")
    expect(page.locator("main")).to_contain_text("没有找到 此事项")


def test_a_keyboard_reaches_the_text_and_the_search(guarded, open_page: Open) -> None:
    page, _ = open_page(guarded.base, "/matters")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="跳到正文")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("事项名称")).to_be_focused()
    page.keyboard.type("取水")
    page.keyboard.press("Enter")
    expect(page).to_have_url(guarded.base + "/matters?name=%E5%8F%96%E6%B0%B4&department=&type=&online=")


@pytest.mark.parametrize("path", ["/matters", "/login", "/matters/sample/none"])
def test_the_language_headings_and_labels_are_there(guarded, open_page: Open, path: str) -> None:
    page, _ = open_page(guarded.base, path)
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert page.locator("h1").count() == 1 and page.locator("main").count() == 1
    unnamed = page.evaluate("[...document.querySelectorAll('input:not([type=hidden]), select')].filter(field => !field.labels.length).length")
    assert unnamed == 0


def test_targets_are_large_enough_for_a_finger(guarded, open_page: Open) -> None:
    page, _ = open_page(guarded.base, "/matters", viewport={"width": 390, "height": 844})
    small = page.evaluate(
        """[...document.querySelectorAll('main a, main button, main select, main input, header a')]
            .map(one => [one.textContent.trim(), one.getBoundingClientRect().height]).filter(one => one[1] < 44)"""
    )
    assert small == []


CONTRAST = """
() => {
    const parse = text => (text.match(/[\\d.]+/g) || []).map(Number).map((v, i) => text.startsWith('color(') && i < 3 ? v * 255 : v);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = one => {
        const layers = [];
        for (let at = one; at; at = at.parentElement) {
            const [r, g, b, a = 1] = parse(getComputedStyle(at).backgroundColor);
            if (a > 0) layers.push([r, g, b, a]);
            if (a === 1) break;
        }
        return layers.reduceRight(([r, g, b], [x, y, z, a]) => [r + (x - r) * a, g + (y - g) * a, b + (z - b) * a], [255, 255, 255]);
    };
    return [...document.querySelectorAll('body *')]
        .filter(one => [...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && one.getClientRects().length && !one.closest('svg'))
        .map(one => {
            const [front, back] = [light(parse(getComputedStyle(one).color)), light(ground(one))];
            return [one.textContent.trim().slice(0, 20), (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05)];
        }).filter(([, contrast]) => contrast < 4.5);
}
"""


@pytest.mark.parametrize("path", ["/", "/matters", "/matters?name=none", "/matters/sample/none", "/login", "/report"])
def test_text_stands_out_from_its_ground(server, open_page: Open, path: str) -> None:
    page, _ = open_page(server.base, path)
    page.wait_for_load_state("networkidle")
    assert page.evaluate(CONTRAST) == []
