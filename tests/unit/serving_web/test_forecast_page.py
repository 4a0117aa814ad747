"""The worklist of cases that will probably be late: order, filter, pages, what it says of its own worth, and that names stay text."""

from collections.abc import Iterator
from datetime import date

import duckdb
import httpx
import pandas as pd
import pyarrow as pa
import pytest

from models.domain.settings import Settings
from models.forecast.judging import Judgement
from models.forecast.service import CASES, Forecast, no_forecast
from models.store.forecast import write_forecast
from models.store.snapshots import SnapshotStore
from serving.web.forecast import reliability
from tests.support.server import running
from tests.support.snapshots import AS_OF, RUN_ID, write_marts

EVIL = "<script>window.hurt=1</script>"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(home=tmp_path_factory.mktemp("forecast"), dev=True)
    write_marts(settings.marts, 200)
    with duckdb.connect(str(settings.marts), read_only=True) as connection:
        cases = connection.execute("SELECT source, case_number, matter_code, department_code FROM marts.fct_case ORDER BY case_number LIMIT 120").fetchall()
    rows = [(*case, date(2026, 7, 10), 8, 0.9 - place / 200, place, EVIL if place == 1 else "剩余 8 个工作日，已用 2 个") for place, case in enumerate(cases, start=1)]
    bins = pd.DataFrame([(name, n, n / 10, n / 12, 50, n * 4) for name in ("model", "matter", "days") for n in range(1, 6)], columns=["name", "bin", "predicted", "observed", "landmarks", "late"])
    measures = pd.DataFrame([(name, 0.2, 0.6, 0.7, 0.5, 0.09, 0.2, 0.01, -0.01, 0.03) for name in ("model", "matter", "days")])
    columns = [pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), CASES, strict=True)]
    made = Forecast(date(2026, 6, 30), "model", pa.Table.from_arrays(columns, schema=CASES), Judgement(date(2026, 3, 2), measures, bins, (900, 90), (250, 25)))
    write_forecast(settings.marts, made)
    SnapshotStore(settings).publish(settings.marts, RUN_ID, AS_OF, AS_OF)
    return settings


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[httpx.Client]:
    with running(settings) as asking:
        yield asking


def test_the_most_probable_stand_first_with_their_reasons(client: httpx.Client) -> None:
    page = client.get("/forecast").text
    assert page.index("89.5%") < page.index("89.0%") and "65.0%" in page and "64.5%" not in page  # fifty a page
    assert "第 1 / 3 页" in page and "<script>" not in page and "&lt;script&gt;" in page
    assert "2026-03-02 及以前到期的办件学习（900 个时点，其中逾期 90）" in page
    assert "0.0100（-0.0100～0.0300）" in page and "本事项此前逾期率" in page and page.count("<circle") == 5
    assert "64.5%" in client.get("/forecast", params={"number": 2}).text


def test_of_one_department(client: httpx.Client, settings: Settings) -> None:
    with duckdb.connect(str(settings.marts), read_only=True) as connection:
        code, count = connection.execute("SELECT department_code, count(*) FROM marts.forecast_case GROUP BY 1 ORDER BY 2 DESC LIMIT 1").fetchall()[0]
    page = client.get("/forecast", params={"department": code}).text
    assert f'<p class="figure-value">{count}</p>' in page
    assert "没有在办且未到期的办件" in client.get("/forecast", params={"department": "' OR 1=1 --"}).text


def test_bad_numbers_of_pages_are_refused(client: httpx.Client) -> None:
    assert client.get("/forecast", params={"number": 0}).status_code == 422
    assert "没有在办" in client.get("/forecast", params={"number": 999}).text


def test_without_a_forecast_the_page_says_why(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = Settings(home=tmp_path_factory.mktemp("none"), dev=True)
    write_marts(settings.marts, 20)
    SnapshotStore(settings).publish(settings.marts, "older", AS_OF, AS_OF)
    write_forecast(settings.marts, no_forecast(date(2026, 6, 30), "设置（forecast）关闭了预测"))
    with running(settings) as asking:
        older = asking.get("/forecast")  # a snapshot of an older version
        assert older.status_code == 503 and "YW-STORE-007" in older.text
        SnapshotStore(settings).publish(settings.marts, RUN_ID, AS_OF, AS_OF)
        page = asking.get("/forecast").text
    assert page.count("设置（forecast）关闭了预测") == 2 and "没有在办" in page


def test_the_plot_ends_above_its_largest_value() -> None:
    assert reliability([]) is None
    plot = reliability([{"predicted": 0.012, "observed": 0.018}])
    assert plot is not None and plot.top == 0.02 and plot.marks[-1] == (300, "2.00%")
    assert [round(plot.points[0][axis]) for axis in ("x", "y")] == [236, 46]
