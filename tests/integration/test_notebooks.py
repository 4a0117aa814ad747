"""The notebooks run on a published city, draw their pictures in Chinese, and their functions say what the marts say."""

import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

from models.domain.errors import YiwangError
from models.domain.settings import get_settings
from models.store.analysis import Marts, directly_follows, measure, open_marts

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def marts(city: Path) -> Marts:
    return open_marts(city)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, city: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIWANG_HOME", str(city))
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs before you commit"
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = ["".join(output["data"]["image/svg+xml"]) for output in outputs if "image/svg+xml" in output.get("data", {})]
    assert len(pictures) >= 4
    assert all(re.search(r"<text[^>]*>[^<]*[\u4e00-\u9fff]", picture) for picture in pictures), "no Chinese text in a picture"
    assert not [output["text"] for output in outputs if output.get("name") == "stderr"]


def test_a_measure_is_a_ratio_of_sums(marts: Marts) -> None:
    whole = measure(marts, "M07", ["month"])
    each = measure(marts, "M07", ["month", "department_code"])
    again = each.groupby("month")[["numerator", "denominator"]].sum()
    pd.testing.assert_frame_equal(again.reset_index(), whole[["month", "numerator", "denominator"]], check_dtype=False)
    late = marts.sql("SELECT count(*) AS n FROM marts.fct_case WHERE is_late AND due_on <= $day", day=marts.as_of.date())["n"].iloc[0]
    assert late > 0 and whole["denominator"].sum() - whole["numerator"].sum() >= late * 0.9


def test_rows_are_read_by_day_and_value(marts: Marts) -> None:
    march = marts.read("fct_case", ["case_number", "received_on", "channel_code"], day="received_on", since=date(2026, 3, 1), until=date(2026, 3, 31), channel_code=["2", "3"])
    assert len(march) and set(march["channel_code"]) == {"2", "3"}
    assert march["received_on"].min() >= pd.Timestamp(2026, 3, 1) and march["received_on"].max() <= pd.Timestamp(2026, 3, 31)
    assert len(march) == marts.sql(
        "SELECT count(*) AS n FROM marts.fct_case WHERE received_on BETWEEN '2026-03-01' AND '2026-03-31' AND channel_code IN ('2', '3')"
    )["n"].iloc[0]


def test_rows_without_a_value_can_be_asked_for(marts: Marts) -> None:
    without = marts.sql("SELECT count(*) AS n FROM marts.fct_case WHERE outcome_code IS NULL")["n"].iloc[0]
    assert without > 0 and len(marts.read("fct_case", ["case_number"], outcome_code=None)) == without
    codes = pd.Series(["granted", None])
    both = marts.sql("SELECT count(*) AS n FROM marts.fct_case WHERE outcome_code IS NULL OR outcome_code = 'granted'")["n"].iloc[0]
    assert len(marts.read("fct_case", ["case_number"], outcome_code=codes)) == both


def test_a_notebooks_own_folder_finds_the_home_above(city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").symlink_to(city)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.delenv("YIWANG_HOME", raising=False)
    get_settings.cache_clear()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert len(open_marts().tables()) > 10


def test_steps_follow_each_other_as_often_as_cases_have_steps(marts: Marts) -> None:
    follows = directly_follows(marts)
    events, cases = marts.sql("SELECT count(*) AS events, count(DISTINCT (source, case_number)) AS cases FROM marts.fct_case_event SEMI JOIN marts.fct_case USING (source, case_number) WHERE coalesce(occurred_at <= $as_of, true)", as_of=marts.as_of).iloc[0]
    assert follows["times"].sum() == events - cases
    late = replace(marts, snapshot=replace(marts.snapshot, as_of=marts.as_of - timedelta(days=90)))
    assert 0 < directly_follows(late)["times"].sum() < follows["times"].sum(), "what is dated after as_of has not happened yet"
    assert follows[["position", "next_position"]].stack().between(0, 1).all()
    one = marts.sql("SELECT matter_code FROM marts.fct_case GROUP BY ALL ORDER BY count(*) DESC, matter_code LIMIT 1")["matter_code"].iloc[0]
    assert 0 < directly_follows(marts, one)["times"].sum() < follows["times"].sum()


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda marts: marts.read("fct_cases"), "fct_case、"),
        (lambda marts: marts.read("fct_case", ["name"]), "name"),
        (lambda marts: marts.read("fct_case", since=date(2026, 1, 1)), "day"),
        (lambda marts: marts.read("fct_case", **{'x" OR 1=1 --': 1}), "没有列"),
        (lambda marts: marts.sql("DROP TABLE marts.fct_case"), "DROP"),
        (lambda marts: marts.sql("SELECT * FROM read_csv('/etc/hostname')"), "disabled"),
        (lambda marts: measure(marts, "M99"), "M99"),
        (lambda marts: measure(marts, "M07", ["street"]), "street"),
    ],
)
def test_what_cannot_be_asked_is_said(marts: Marts, ask: object, words: str) -> None:
    with pytest.raises(YiwangError, match=words):
        ask(marts)  # type: ignore[operator]


def test_nothing_published_is_said(tmp_path: Path) -> None:
    with pytest.raises(YiwangError) as caught:
        open_marts(tmp_path)
    assert caught.value.code == "YW-STORE-001"
