"""Planted errors: every kind is there, the ledger finds each one, and undoing them gives the right city."""

import json
import re
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from models.domain.contracts import SUBJECTS, key_of
from pipelines.sample.planting import catalogue
from pipelines.sample.service import write_sample

UNTIL = date(2026, 6, 30)
MOVING = ("case", "case_event", "certificate", "review")


@pytest.fixture(scope="module")
def cities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same city without errors and with 2 %."""
    homes = tmp_path_factory.mktemp("right"), tmp_path_factory.mktemp("wrong")
    for home, errors in zip(homes, (0, 0.02), strict=True):
        write_sample(home, 20_000, UNTIL, errors=errors)
    return homes


@pytest.fixture(scope="module")
def ledger(cities: tuple[Path, Path]) -> pd.DataFrame:
    return pq.read_table(cities[1] / "sample/planted_errors.parquet").to_pandas()


def files(home: Path, subject: str) -> list[str]:
    return sorted(f"{subject}/{p.name}" for p in (home / "sample" / subject).glob("*.parquet"))


def undone(home: Path, file: str, ledger: pd.DataFrame) -> pa.Table:
    """A part file with every planted error undone, by the ledger alone; missing rows come back at the end."""
    planted = ledger[ledger.file == file]
    rows = pq.read_table(home / "sample" / file)
    for field, entries in planted[planted.change == "value"].groupby("field"):
        entries = entries.sort_values("file_row")
        column = rows.column(field).combine_chunks()
        mask = np.zeros(len(rows), bool)
        mask[(entries.file_row - 1).astype(int)] = True
        right = pa.array(list(entries.right_value), pa.string()).cast(column.type)
        rows = rows.set_column(rows.column_names.index(field), field, pc.replace_with_mask(column, pa.array(mask), right))
    extra = set((planted[planted.change == "row_added"].file_row - 1).astype(int))
    rows = rows.take(pa.array([i for i in range(len(rows)) if i not in extra], pa.int64()))
    missing = [json.loads(r) for r in planted[planted.change == "row_missing"].right_value]
    lost = pa.table([pa.array([r.get(f.name) for r in missing], pa.string()).cast(f.type) for f in rows.schema], schema=rows.schema)
    return pa.concat_tables([rows, lost])


def test_every_kind_is_planted(ledger: pd.DataFrame) -> None:
    assert len(catalogue()) >= 40
    assert set(ledger.kind) == set(catalogue())
    assert {k: s for k, (s, _) in catalogue().items()} == dict(zip(ledger.kind, ledger.subject, strict=True))


@pytest.mark.parametrize("subject", [*MOVING, "matter"])
def test_undoing_the_ledger_gives_the_city_without_errors(cities: tuple[Path, Path], ledger: pd.DataFrame, subject: str) -> None:
    right, wrong = cities
    assert files(right, subject) == files(wrong, subject)
    key = key_of(SUBJECTS[subject])
    for file in files(right, subject):
        expected = pq.read_table(right / "sample" / file).sort_by([(k, "ascending") for k in key])
        found = undone(wrong, file, ledger).sort_by([(k, "ascending") for k in key])
        assert found.combine_chunks().equals(expected.combine_chunks()), file


def test_each_planted_value_stands_where_the_ledger_says(cities: tuple[Path, Path], ledger: pd.DataFrame) -> None:
    for (subject, file), entries in ledger[ledger.change != "row_missing"].groupby(["subject", "file"]):
        rows = pq.read_table(cities[1] / "sample" / file)
        keys = pd.DataFrame({k: rows[k].cast(pa.string()).fill_null("").to_pandas() for k in key_of(SUBJECTS[subject])}).agg("/".join, axis=1)
        for field, own in entries.groupby("field"):
            at = (own.file_row - 1).astype(int)
            assert (keys.to_numpy()[at] == own.key.to_numpy()).all()
            values = rows[field].take(pa.array(at.to_numpy()))
            planted = pa.array(list(own.planted_value), pa.string()).cast(values.type)
            assert values.combine_chunks().equals(planted), (file, field)
            assert own.planted_value.fillna("-").ne(own.right_value.fillna("-")).all()


def test_missing_rows_are_missing_and_their_keys_known(cities: tuple[Path, Path], ledger: pd.DataFrame) -> None:
    for subject, entries in ledger[ledger.change == "row_missing"].groupby("subject"):
        rows = pa.concat_tables([pq.read_table(cities[1] / "sample" / f) for f in files(cities[1], subject)])
        keys = pd.DataFrame({k: rows[k].cast(pa.string()).fill_null("").to_pandas() for k in key_of(SUBJECTS[subject])}).agg("/".join, axis=1)
        assert not set(keys) & set(entries.key)


@pytest.mark.parametrize("subject", MOVING)
def test_about_as_many_records_as_asked_are_wrong(cities: tuple[Path, Path], ledger: pd.DataFrame, subject: str) -> None:
    total = sum(len(pq.read_table(cities[1] / "sample" / f, columns=[])) for f in files(cities[1], subject))
    single = ledger[(ledger.subject == subject) & ~ledger.kind.isin(["same_minute", "reversed_scale"])]
    struck = len(single.drop_duplicates(["file", "file_row", "key"]))
    assert 0.015 < struck / total < 0.025


def test_the_page_lists_every_kind() -> None:
    page = (Path(__file__).parents[3] / "docs/sample.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(\w+)` \| (\w+) \| (\S.*?) \|$", page, re.MULTILINE))
    assert listed == {(code, subject, title) for code, (subject, title) in catalogue().items()}


def test_errors_do_not_touch_what_drives_the_shape(ledger: pd.DataFrame) -> None:
    """No planted matter is one of those that most cases belong to."""
    assert len(ledger[ledger.subject == "matter"]) >= 3
    assert ledger[ledger.subject == "matter"].groupby("kind").size().min() >= 3
