"""dbt's documentation opens from a folder and asks nothing of the network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docs.dbt_site import build


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("site") / "dbt" / "index.html")


def test_a_mart_is_shown_and_nothing_fetched(site: Path, open_page: Callable[..., Any]) -> None:
    page, seen = open_page(f"file://{site.parent}", "/index.html#!/model/model.yiwang.mart_case_timeliness")
    page.get_by_text("Counts and sums of days add up").first.wait_for()
    column = page.locator("tr", has_text="paused_share")
    assert "double" in column.first.inner_text()
    assert not seen.outside


def test_an_exposure_names_its_marts(site: Path, open_page: Callable[..., Any]) -> None:
    page, seen = open_page(f"file://{site.parent}", "/index.html#!/exposure/exposure.yiwang.public_directory")
    page.get_by_text("The public directory of matters").first.wait_for()
    assert "dim_matter" in page.locator("body").inner_text()
    assert not seen.outside


def test_the_page_carries_no_tracker_and_no_folder_of_this_machine(site: Path) -> None:
    text = site.read_text(encoding="utf-8")
    assert "cloudfront" not in text and "sinter-collect" not in text
    assert str(Path(__file__).parents[2]) not in text
