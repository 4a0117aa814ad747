"""The staff page in a real browser on a real server."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from models.domain.settings import Settings
from models.store.pages import PageRepository
from models.store.snapshots import SnapshotStore
from tests.support.snapshots import AS_OF, publish

Open = Callable[..., tuple[Page, object]]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


def published(settings: Settings) -> tuple[PageRepository, object]:
    store = SnapshotStore(settings)
    return PageRepository(store), store.in_service()


def grid_column(page: Page, name: str) -> list[str]:
    """Texts of a column in the order in which rows stand on the screen."""
    page.wait_for_selector(f'.ag-row .ag-cell[col-id="{name}"]')
    return page.evaluate(
        """name => [...document.querySelectorAll('.ag-center-cols-container .ag-row')]
            .sort((a, b) => a.getAttribute('row-index') - b.getAttribute('row-index'))
            .map(row => row.querySelector(`[col-id="${name}"]`).textContent.trim())""",
        name,
    )


def test_the_page_shows_the_snapshots_figures(server, open_page: Open, tmp_path: Path) -> None:
    page, seen = open_page(server.base, "/", viewport={"width": 1280, "height": 1000})
    expect(page).to_have_title("一网 · 运行与评估")
    pages, snapshot = published(server.settings)
    state = pages.run_state(snapshot)
    expect(page.locator("h1")).to_have_text("运行与评估")
    expect(page.get_by_text(snapshot.run_id)).to_be_visible()
    for row in state.sync:
        cells = page.locator(f'tr[data-subject="{row["subject"]}"] td.n').all_inner_texts()
        assert [int(cell.replace(",", "")) for cell in cells] == [
            row[name] for name in ("rows_read", "inserted", "updated", "unchanged", "superseded", "deleted", "quarantined")
        ]
        assert page.locator(f'tr[data-subject="{row["subject"]}"]').get_by_text("相符").is_visible()
    failed = [check for check in state.checks if not check["passed"]]
    expect(page.locator("#checks")).to_have_text(f"质量检查：{len(state.checks) - len(failed)} 项通过，{len(failed)} 项未通过")
    for check in failed:
        item = page.locator(f'[data-check="{check["check_name"]}"]')
        item.locator("summary").click()
        assert item.locator("pre").inner_text() == check["sql"]
    scores = pages.scores(snapshot, "self", pages.score_months(snapshot, "self")[0])
    shown = grid_column(page, "score")
    assert len(shown) > 5 and shown == [f"{row['score']:.2f}" for row in scores][: len(shown)]
    assert page.locator(".tag", has_text="自评").count() == 2
    page.screenshot(path=tmp_path / "staff.png", full_page=True)
    assert not seen.outside and not seen.errors


def test_a_department_leads_to_the_cases_behind_its_figures(server, open_page: Open) -> None:
    page, seen = open_page(server.base, "/")
    pages, snapshot = published(server.settings)
    month = pages.score_months(snapshot, "self")[0]
    third = pages.scores(snapshot, "self", month)[2]
    page.locator('.ag-row[row-index="2"] [col-id="department"]').click()
    expect(page.locator("#indicators")).to_contain_text(f"{third['department_name']}的指标")
    row = page.locator('tr[data-indicator="M15"]')
    for place, side in ((0, "numerator"), (1, "denominator")):
        link = row.locator("td").nth(place).locator("a")
        answer = page.request.get(server.base + (link.get_attribute("href") or "") + "&count=true").json()
        assert str(answer["count"]) == link.inner_text(), side
    assert not seen.outside and not seen.errors


def test_sorting_and_month_work_by_keyboard(server, open_page: Open) -> None:
    page, seen = open_page(server.base, "/", viewport={"width": 1280, "height": 1000})
    pages, snapshot = published(server.settings)
    months = pages.score_months(snapshot, "self")
    grid_column(page, "score")
    page.locator('.ag-header-cell[col-id="score"]').focus()
    page.keyboard.press("Enter")
    expect(page.locator('.ag-header-cell[col-id="score"]')).to_have_attribute("aria-sort", "ascending")
    lowest = sorted(row["score"] for row in pages.scores(snapshot, "self", months[0]))
    shown = grid_column(page, "score")
    assert shown == [f"{score:.2f}" for score in lowest][: len(shown)]
    page.get_by_label("月份").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("月份")).to_have_value(f"{months[1]:%Y-%m}")
    earlier = sorted(row["score"] for row in pages.scores(snapshot, "self", months[1]))
    expect(page.locator('.ag-row[row-index="0"] [col-id="score"]')).to_have_text(f"{earlier[0]:.2f}")
    assert not seen.outside and not seen.errors


def test_a_new_snapshot_shows_up_without_reload(serve, snapshot_settings: Settings, open_page: Open) -> None:
    server = serve(snapshot_settings, YIWANG_DEV="1")
    page, seen = open_page(server.base, "/")
    expect(page.locator(".as-of")).to_contain_text("2026-06-30")
    page.evaluate("window.notReloaded = true")
    later: datetime = AS_OF + timedelta(days=31)
    publish(server.settings, "019f1a2b-0000-7000-8000-000000000002", later, cases=900)
    expect(page.locator(".as-of")).to_contain_text("2026-07-31", timeout=30_000)
    expect(page.get_by_role("status").filter(has_text="数据已更新")).to_be_visible()
    pages, snapshot = published(server.settings)
    cells = page.locator('tr[data-subject="case"] td.n')
    expect(cells.first).to_have_text("901")
    best = pages.scores(snapshot, "self", pages.score_months(snapshot, "self")[0])[0]
    expect(page.get_by_label("月份").locator("option").first).to_have_text("2026年7月")
    assert best and page.evaluate("window.notReloaded") is True
    assert not seen.outside and not seen.errors


def test_before_the_first_run_the_page_says_what_to_do_and_then_shows_it(serve, open_page: Open, tmp_path: Path) -> None:
    home = tmp_path / "empty"
    home.mkdir()
    server = serve(Settings(home=home), YIWANG_DEV="1")
    page, _ = open_page(server.base, "/")
    expect(page.locator("#main")).to_contain_text("还没有已发布的数据")
    publish(server.settings)
    expect(page.locator("#scores")).to_be_visible(timeout=30_000)


def test_the_report_opens_from_the_page(serve, snapshot_settings: Settings, open_page: Open) -> None:
    from models.reporting.service import write_report

    with_report = serve(snapshot_settings, YIWANG_DEV="1")
    snapshot = SnapshotStore(snapshot_settings).in_service()
    write_report(snapshot_settings, snapshot.path, snapshot.run_id)
    page, seen = open_page(with_report.base, "/")
    page.get_by_role("link", name="报告", exact=True).click()
    expect(page.locator("body")).to_contain_text("自评")
    assert not seen.outside and not seen.errors


@pytest.mark.parametrize("path", ["/", "/matters", "/matters?name=许可", "/login", "/report"])
def test_a_phone_scrolls_in_one_direction(server, open_page: Open, path: str) -> None:
    page, _ = open_page(server.base, path, **PHONE)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_text_from_data_stays_text(serve, open_page: Open, tmp_path: Path) -> None:
    server = serve(with_evil_names(tmp_path / "evil"), YIWANG_DEV="1")
    page, seen = open_page(server.base, "/")
    expect(page.locator("#indicators")).to_contain_text("<img")
    page.locator("#pick-department").select_option(index=1)
    page.locator(".bars path").nth(3).hover(force=True)
    page.wait_for_timeout(500)
    assert page.evaluate("window.hurt") is None and page.locator("img").count() == 0
    listed, _ = open_page(server.base, "/matters")
    listed.get_by_role("link", name="<img").first.click()
    expect(listed.locator("h1")).to_contain_text("<img src=x onerror=window.hurt=1>")
    assert listed.evaluate("window.hurt") is None and listed.locator("img").count() == 0
    assert not seen.outside and not seen.errors


def with_evil_names(home: Path) -> Settings:
    """A home whose names try to run a script wherever they are shown."""
    import duckdb

    from tests.support.snapshots import RUN_ID, write_marts

    settings = Settings(home=home)
    write_marts(settings.marts, cases=200)
    evil = "<img src=x onerror=window.hurt=1>`${window.hurt=1}</script><script>window.hurt=1</script>{{ 7 * 7 }}"
    with duckdb.connect(str(settings.marts)) as connection:
        connection.execute("UPDATE marts.dim_matter SET matter_name = ? || matter_name, materials = ?", [evil, f'[{{"name": "{evil}"}}]'])
        connection.execute("UPDATE marts.score_department_month SET department_name = ? || department_name", [evil])
        connection.execute("UPDATE marts.check_result SET message = ?, sql = ?", [evil, evil])
        connection.execute("UPDATE marts.quarantine SET reason = ?", [evil])
    SnapshotStore(settings).publish(settings.marts, RUN_ID, AS_OF, AS_OF)
    return settings
