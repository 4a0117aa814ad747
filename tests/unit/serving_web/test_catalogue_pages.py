"""The catalogue's API and pages over a made-up snapshot: what they answer, to whom, and that text stays text."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from models.domain.settings import Settings
from models.store.catalogue import CatalogueRepository, Lineage
from models.store.resources import CATALOGUE
from models.store.snapshots import SnapshotStore
from models.store.warehouse import WarehouseRepository, sortable
from pipelines.catalogue.types import SCHEMAS
from serving.api.warehouse import catalogue as api
from serving.api.warehouse.parameters import ListParameters
from serving.web.catalogue_charts import calendar, graph
from tests.support.catalogue import EDGES, LOST, publish_with_catalogue
from tests.support.server import running

ANSWERS = {"sources": api.Source, "tables": api.Table, "columns": api.Column, "lineage": api.Edge, "partitions": api.Partition}
PARAMETERS = {
    "sources": api.SourceParameters, "tables": api.TableParameters, "columns": api.ColumnParameters, "lineage": api.LineageParameters, "partitions": api.PartitionParameters,
}
API = "/api/v1/warehouse/catalogue"
EVIL = "<img src=x onerror=window.hurt=1>\"'</text></svg><script>window.hurt=1</script>{{ 7 * 7 }}"
PAGES = ("/catalogue", "/catalogue?q=办件", "/catalogue/tables/marts.fct_case", "/catalogue/lineage", "/catalogue/lineage?around=marts.fct_case", "/catalogue/partitions", "/catalogue/partitions?table=marts.fct_certificate&source=city")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(home=tmp_path_factory.mktemp("catalogue"), dev=True)
    publish_with_catalogue(settings)
    return settings


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[httpx.Client]:
    with running(settings) as asking:
        yield asking


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_answers_parameters_and_tables_agree(client: httpx.Client, settings: Settings, name: str) -> None:
    resource = CATALOGUE[f"catalogue/{name}"]
    rows = WarehouseRepository(SnapshotStore(settings)).page(f"catalogue/{name}", limit=200).items
    assert rows and set(PARAMETERS[name].model_fields) - set(ListParameters.model_fields) == set(resource.filters)
    for row in rows:
        ANSWERS[name].model_validate(row, strict=True, extra="forbid")
    if resource.table in SCHEMAS:
        assert list(ANSWERS[name].model_fields) == SCHEMAS[resource.table].names
    page = client.get(f"{API}/{name}", params={"count": "true", "limit": 2}).json()
    assert page["as_of"] == "2026-06-30T15:59:59Z" and page["count"] >= len(page["items"]) > 0


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_list_pages_through(settings: Settings, name: str) -> None:
    repository = WarehouseRepository(SnapshotStore(settings))
    for sort in sortable(name):
        cursor, found = None, []
        while True:
            page = repository.page(name, sort=sort, limit=67, cursor=cursor, count=True)
            found += page.items
            if (cursor := page.next) is None:
                break
        assert len({repr(row) for row in found}) == len(found) == page.count


def test_a_table_comes_with_columns_neighbours_and_partitions(client: httpx.Client) -> None:
    item = client.get(f"{API}/tables/marts.fct_certificate").json()["item"]
    api.TableDetail.model_validate(item)
    assert [row["table_name"] for row in item["upstream"]] == ["raw.certificate"] and item["downstream"] == []
    assert [column["position"] for column in item["columns"]] == list(range(1, item["column_count"] + 1))
    by_name = {column["column_name"]: column for column in item["columns"]}
    assert by_name["holder_name_masked"]["is_personal"] and not by_name["issued_on"]["is_personal"]
    assert by_name["certificate_state_code"]["code_table"] == "L.certificate_state"
    (series,) = item["partitions"]
    assert (series["missing"], series["unexpected"]) == (2, 1)


def test_missing_and_unexpected_partitions_are_listed(client: httpx.Client) -> None:
    bad = client.get(f"{API}/partitions", params={"verdict": ["missing", "unexpected"], "table_name": "marts.fct_certificate"}).json()["items"]
    assert [(row["partition_on"], row["verdict"], row["row_count"]) for row in bad] == [
        *((day.isoformat(), "missing", 0) for day in reversed(LOST)), ("0001-01-01", "unexpected", 3),
    ]


@pytest.mark.parametrize(("address", "status"), [("tables/marts.nothing", 404), ("tables/..%2f..%2fetc", 404), ("partitions?verdict=bad&partition_from=yesterday", 422), ("sources?token=x", 422), ("tables?as_of=2020-01-01", 404)])
def test_problems_are_problems(client: httpx.Client, address: str, status: int) -> None:
    answer = client.get(f"{API}/{address}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize("path", PAGES)
def test_pages_need_no_script_and_name_no_other_host(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert "script-src" not in answer.headers["content-security-policy"] and "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text and "style=" not in answer.text and "http://" not in answer.text and "https://" not in answer.text
    assert 'lang="zh-CN"' in answer.text and answer.text.count("<h1") == 1


def test_the_catalogue_finds_tables_by_their_columns(client: httpx.Client) -> None:
    assert "marts.fct_case</code>" in client.get("/catalogue?q=received_on").text
    assert "找到 0 张表" in client.get("/catalogue?q=nothing-of-that-name").text
    both = client.get("/catalogue?q=fct_ 证照").text
    assert "marts.fct_certificate</code>" in both and "marts.dim_region</code>" not in both
    assert "marts.fct_case</code>" not in client.get("/catalogue?layer=raw").text


def test_a_verdict_is_a_word_not_a_colour(client: httpx.Client) -> None:
    text = client.get("/catalogue").text
    for word in ("及时", "滞后", "不判断"):
        assert f"</span>{word}</span>" in text


@pytest.mark.parametrize("path", ["/catalogue/tables/nothing", "/catalogue/partitions?table=marts.fct_case&source=nobody", "/catalogue/tables/" + quote("<script>")])
def test_what_is_not_there_is_a_page_that_says_so(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers={"accept": "text/html"})
    assert answer.status_code == 404 and "没有找到" in answer.text and "<script>" not in answer.text


def test_what_people_wrote_stays_text(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, dev=True)
    publish_with_catalogue(settings, EVIL)
    with running(settings) as client:
        for path in PAGES:
            text = client.get(path).text
            assert "<img" not in text and "<script" not in text and "</text></svg><" not in text, path
        assert "&lt;img" in client.get("/catalogue").text and "{{ 7 * 7 }}" in client.get("/catalogue").text
        assert "&lt;img" in client.get("/catalogue?q=" + quote(EVIL[:40])).text


def test_a_snapshot_of_an_older_version_says_what_to_do(snapshot_settings: Settings) -> None:
    with running(snapshot_settings.model_copy(update={"dev": True})) as client:
        answer = client.get("/catalogue", headers={"accept": "text/html"})
        assert answer.status_code == 503 and "yiwang run" in answer.text
        assert client.get(f"{API}/tables").json()["items"] == []


def test_around_a_product_is_all_that_it_depends_on_and_all_that_depends_on_it(settings: Settings) -> None:
    store = SnapshotStore(settings)
    around = CatalogueRepository(store).lineage(store.in_service()).around("marts.fct_case")
    assert {row["table_name"] for row in around.products} == {
        "source.city", "raw.case", "staging.stg_case", "marts.fct_case", "marts.mart_department_day", "marts.score_department_month", "publish.report",
    }
    assert set(around.edges) < set(EDGES)


def test_a_picture_of_the_lineage_runs_from_left_to_right() -> None:
    names = sorted({end for edge in EDGES for end in edge})
    products = [{"table_name": name, "layer": name.partition(".")[0], "title": name} for name in names]
    drawn = graph(Lineage(products, EDGES), "marts.fct_case")
    at = {box["table_name"]: (box["x"], box["y"]) for box in drawn.boxes}
    assert all(at[above][0] < at[below][0] for above, below in EDGES)
    assert len(set(at.values())) == len(names) == len(drawn.boxes) and len(drawn.curves) == len(EDGES)
    assert all(0 <= x <= drawn.width and 0 <= y <= drawn.height for x, y in at.values())
    circle = graph(Lineage([{"table_name": name, "layer": "marts", "title": name} for name in "ab"], [("a", "b"), ("b", "a")]))
    assert len(circle.boxes) == 2
    assert graph(Lineage([], [])).boxes == []


def test_a_calendar_draws_every_day_of_its_years_once(settings: Settings) -> None:
    store = SnapshotStore(settings)
    snapshot = store.in_service()
    (year,) = calendar(CatalogueRepository(store).partitions(snapshot, "marts.fct_certificate", "city"), snapshot.as_of.date())
    assert (year.year, len(year.cells), year.missing, year.unexpected) == (2026, 365, 2, 0)
    assert len({(cell["x"], cell["y"]) for cell in year.cells}) == 365
    assert [cell["title"] for cell in year.cells if cell["kind"] == "missing"] == [f"{day}：缺失" for day in LOST]
    assert calendar([], snapshot.as_of.date()) == []
