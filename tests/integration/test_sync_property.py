"""The sync against a model of it in plain Python, over random sequences of files."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.sync import SyncHome, numbers

pytestmark = pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning")  # a dependency of dlt imports it


class Row(NamedTuple):
    """A row of a file: ``key`` 0 is a blank one, ``cursor`` -1 cannot be typed and 0 is blank."""

    key: int
    value: int
    cursor: int
    deleted: bool


class Version(NamedTuple):
    """What is stored of a record."""

    value: int
    cursor: int
    deleted: bool
    file: str
    row: int
    run: int


@dataclass
class Model:
    """The sync, one row at a time."""

    by_cursor: bool
    records: dict[int, Version] = field(default_factory=dict)
    aside: dict[str, list[int]] = field(default_factory=dict)
    seen: dict[str, list[Row]] = field(default_factory=dict)

    def order(self, version: Version) -> tuple[int, str, int]:
        return (version.cursor if self.by_cursor else 0, version.file, version.row)

    def sync(self, files: dict[str, list[Row]], run: int) -> dict[str, int]:
        counts = dict.fromkeys(("rows_read", "inserted", "updated", "unchanged", "superseded", "deleted", "quarantined"), 0)
        last: dict[int, Version] = {}
        for name in sorted(files):
            if self.seen.get(name) == files[name]:
                continue
            self.seen[name], self.aside[name] = files[name], []
            for place, row in enumerate(files[name], 1):
                counts["rows_read"] += 1
                if row.cursor < 0 or row.key == 0:
                    counts["quarantined"] += 1
                    self.aside[name].append(place)
                    continue
                version = Version(row.value, row.cursor, row.deleted, name, place, run)
                if row.key in last:
                    counts["superseded"] += 1
                if row.key not in last or self.order(version) > self.order(last[row.key]):
                    last[row.key] = version
        for key, version in last.items():
            old = self.records.get(key)
            if old is None:
                counts["deleted" if version.deleted else "inserted"] += 1
                self.records[key] = version
            elif (*self.order(version)[:2],) < (*self.order(old)[:2],):
                counts["superseded"] += 1
            elif version[:3] == old[:3]:
                counts["unchanged"] += 1
                self.records[key] = version._replace(run=old.run)
            else:
                counts["deleted" if version.deleted else "updated"] += 1
                self.records[key] = version
        return {name: number for name, number in counts.items() if number}


ROWS = st.lists(st.builds(Row, st.integers(0, 4), st.integers(0, 2), st.integers(-1, 3), st.booleans()), max_size=6)
STEPS = st.lists(st.dictionaries(st.sampled_from(["a.csv", "b.csv", "c.csv"]), ROWS, min_size=1), min_size=1, max_size=4)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(steps=STEPS, by_cursor=st.booleans())
def test_the_sync_agrees_with_its_model(steps: list[dict[str, list[Row]]], by_cursor: bool) -> None:
    with TemporaryDirectory() as folder:
        home = SyncHome.make(Path(folder))
        home.configure(
            {"subject": "region", "location": "*.csv", "deleted": "gone", "fields": {"updated_at": "at"}} | ({"cursor": "updated_at"} if by_cursor else {})
        )
        model = Model(by_cursor)
        present: dict[str, list[Row]] = {}
        for run, step in enumerate(steps, 1):
            present |= step
            for name, rows in step.items():
                written = [[row.key or "", row.value, _text(row.cursor), "是" if row.deleted else ""] for row in rows]
                home.csv(name, ["region_code", "region_name", "at", "gone"], written)
            assert numbers(home.one()) == model.sync(present, run)
            assert home.rows(
                "SELECT r.region_code, r.region_name, r.updated_at, r._is_deleted, f.path, r._file_row, r._run_seq "
                "FROM raw.region AS r JOIN ops.source_file AS f ON f.file_id = r._file_id ORDER BY 1"
            ) == [
                (str(key), str(v.value), _instant(v.cursor), v.deleted, v.file, v.row, v.run) for key, v in sorted(model.records.items())
            ]
            assert home.rows("SELECT file, file_row FROM raw.quarantine ORDER BY ALL") == sorted(
                (name, place) for name, places in model.aside.items() for place in places
            )


def _text(cursor: int) -> str:
    return {-1: "昨天", 0: ""}.get(cursor, f"2026-03-{cursor:02}T00:00:00Z")


def _instant(cursor: int) -> datetime | None:
    return datetime(2026, 3, cursor, tzinfo=UTC) if cursor else None
