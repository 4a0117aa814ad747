"""The desk in a browser: every page of its menu wide and on a phone, and an appointment booked with the keyboard alone."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from models.core.access.service import begin_session
from models.core.crypto.service import provider
from models.core.jobs.kinds import ask
from models.core.organisation import windows
from models.core.organisation.staff import add, grant
from models.core.work.service import work
from models.domain.calendar import work_calendar
from models.domain.settings import Settings
from models.store.operational.database import Database
from serving.auth.accounts import COOKIE
from serving.web.menu import MENU
from tests.e2e.test_public_pages import CONTRAST
from tests.support.operational_api import IDS, MATTER, SETTER_UP, City, city

Open = Callable[..., tuple[Page, object]]
FLAWS = """
() => [
    ...(document.documentElement.scrollWidth > innerWidth ? [`as wide as ${document.documentElement.scrollWidth}`] : []),
    ...(document.querySelectorAll('h1').length === 1 ? [] : ['headings']),
    ...[...document.querySelectorAll('input:not([type=hidden]), select, textarea')].filter(one => !one.labels.length).map(one => `no label ${one.name}`),
    ...[...document.querySelectorAll('[list]')].filter(one => !document.getElementById(one.getAttribute('list'))).map(one => `nothing offered ${one.name}`),
    ...[...document.querySelectorAll('[aria-describedby]')].filter(one => !document.getElementById(one.getAttribute('aria-describedby'))).map(one => `no help ${one.name}`),
    ...[...document.querySelectorAll('[id]')].map(one => one.id).filter((id, at, all) => all.indexOf(id) !== at).map(id => `twice ${id}`),
    ...[...document.querySelectorAll('main button, main summary, main select, main input:not([type=hidden], [type=checkbox]), .desk-menu a, .year a')]
        .filter(one => one.getClientRects().length && one.getBoundingClientRect().height < 43.5).map(one => `small ${one.textContent.trim() || one.name}`),
]
"""


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    settings = Settings(home=tmp_path_factory.mktemp("desk"))
    with city(settings) as found:
        database = Database(settings)
        with work(database, SETTER_UP, datetime.now(UTC)) as now:
            windows.create(now, "W1", "综合窗口", "B01", "一楼", ["09:00-10:00"], 5)
            ask(now, "audit.verify")
            person = add(now, provider(settings), "clerk", "甲窗口", "B01")
            grant(now, person.id, "clerk", "B01")
            found.staff["clerk"] = {"cookie": f"{COOKIE}={begin_session(now, settings, f'staff:{person.id}').secret}"}
            head = add(now, provider(settings), "head", "乙负责", "B01")
            grant(now, head.id, "head", "B01")
            found.staff["head"] = {"cookie": f"{COOKIE}={begin_session(now, settings, f'staff:{head.id}').secret}"}
        database.close()
        assert found.act(found.draft()["id"], found.citizens[0], "submit").status_code == 200
        assert found.post("/api/v1/complaints", found.citizens[0], {"unit_code": "B01", "text": "午休不办公"}).status_code == 201
        yield found


def opened(town: City, open_page: Open, role: str, path: str, width: int) -> tuple[Page, object]:
    base = str(town.client.base_url).rstrip("/")
    page, seen = open_page(base, "/login", viewport={"width": width, "height": 844})
    page.context.add_cookies([{"name": COOKIE, "value": town.staff[role]["cookie"].partition("=")[2], "url": base}])
    page.goto(base + path)
    return page, seen


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("role", ["clerk", "head", "system_administrator"])
def test_every_page_of_the_menu_is_whole_at_any_width(town: City, open_page: Open, role: str, width: int) -> None:
    page, seen = opened(town, open_page, role, "/desk", width)
    waiting = [address for address, _, _ in MENU if page.locator(f'.desk-menu a[href="{address}"]').count()]
    assert len(waiting) > 10
    if role != "head":
        waiting += [f"/desk/keep/matters/{MATTER}", "/desk/keep/processes/engineering/2"]
    flaws = {}
    while waiting:
        address = waiting.pop()
        page.goto(str(town.client.base_url).rstrip("/") + address)
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        if found := [*page.evaluate(FLAWS), *(page.evaluate(CONTRAST) if width == 1280 else [])]:
            flaws[address] = found
        if address in ("/desk/keep/jobs", "/desk/keep/complaints"):
            waiting += [link.get_attribute("href") for link in page.locator("tbody th a").all()[:1]]
    assert flaws == {} and not seen.outside and not seen.errors


def test_an_appointment_is_booked_with_the_keyboard(town: City, open_page: Open) -> None:
    page, _ = opened(town, open_page, "clerk", "/desk/keep/appointments", 1280)
    page.locator("summary", has_text="预约").first.focus()
    page.keyboard.press("Enter")
    day = next(day for day in (date.today() + timedelta(n) for n in range(1, 15)) if work_calendar().is_working(day))
    form = page.locator('form[action="/desk/keep/appointments/create"]')
    form.get_by_label("日期").fill(str(day))
    for label, typed in (("窗口", "W1"), ("时段", "09:00-10:00"), ("证件号码", IDS[0]), ("事项", MATTER)):
        form.get_by_label(label, exact=True).focus()
        page.keyboard.type(typed)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("第 1 号")
    expect(page.locator("main")).to_contain_text("公共场所卫生许可")
    page.locator("summary", has_text="到场叫号").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="到场叫号").press("Enter")
    expect(page.locator("tbody")).to_contain_text("已叫号")
