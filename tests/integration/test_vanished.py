"""``vanished: delete``: a record that the files no longer hold is deleted, and only such a record."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.domain.errors import YiwangError
from tests.support.files import home_in
from tests.support.sync import SyncHome, numbers

pytestmark = pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning")  # a dependency of dlt imports it
REGION: dict[str, Any] = {"subject": "region", "location": "r*.csv", "vanished": "delete", "vanished_limit": 1}


@pytest.fixture
def home(tmp_path: Path) -> SyncHome:
    home = home_in(tmp_path)
    home.configure(REGION)
    return home


def write(home: SyncHome, name: str, **regions: str) -> Path:
    return home.csv(name, ["region_code", "region_name"], [[code.removeprefix("_"), title] for code, title in regions.items()])


def state(home: SyncHome) -> dict[str, str]:
    """Code → name of the records that are not deleted."""
    return dict(home.rows("SELECT region_code, region_name FROM raw.region WHERE NOT _is_deleted"))


def test_a_record_that_left_its_file_is_deleted_and_comes_back(home: SyncHome) -> None:
    write(home, "r1.csv", _1="a", _2="b", _3="c")
    home.sync()
    write(home, "r1.csv", _1="a", _3="C")
    assert numbers(home.one()) == {"rows_read": 3, "updated": 1, "unchanged": 1, "deleted": 1}
    assert state(home) == {"1": "a", "3": "C"}
    assert home.rows("SELECT region_name, _run_seq FROM raw.region WHERE region_code = '2'") == [("b", 2)]
    assert numbers(home.one()) == {}
    write(home, "r1.csv", _1="a", _2="b", _3="C")
    assert numbers(home.one()) == {"rows_read": 3, "updated": 1, "unchanged": 2}
    assert state(home) == {"1": "a", "2": "b", "3": "C"}


def test_keep_is_the_default(home: SyncHome) -> None:
    home.configure({key: value for key, value in REGION.items() if not key.startswith("vanished")})
    write(home, "r1.csv", _1="a", _2="b")
    write(home, "r2.csv", _3="c")
    home.sync()
    write(home, "r1.csv", _1="a")
    (home.folder / "r2.csv").unlink()
    assert numbers(home.one()) == {"rows_read": 1, "unchanged": 1}
    assert state(home) == {"1": "a", "2": "b", "3": "c"}


def test_a_file_that_is_gone_takes_its_records_and_brings_them_back(home: SyncHome) -> None:
    write(home, "r1.csv", _1="a")
    path = write(home, "r2.csv", _2="b", _3="c")
    home.sync()
    content = path.read_bytes()
    path.unlink()
    assert numbers(home.one()) == {"rows_read": 3, "unchanged": 1, "deleted": 2}
    assert state(home) == {"1": "a"} and numbers(home.one()) == {}
    path.write_bytes(content)
    assert numbers(home.one()) == {"rows_read": 3, "updated": 2, "unchanged": 1}
    assert state(home) == {"1": "a", "2": "b", "3": "c"} and numbers(home.one()) == {}


def test_a_record_that_moved_to_another_file_stays(home: SyncHome) -> None:
    write(home, "r1.csv", _1="a", _2="b")
    write(home, "r2.csv", _3="c")
    home.sync()
    write(home, "r1.csv", _1="a")
    write(home, "r2.csv", _2="b", _3="c")
    assert numbers(home.one()) == {"rows_read": 3, "unchanged": 3}
    (home.folder / "r2.csv").rename(home.folder / "r3.csv")
    assert numbers(home.one()) == {"rows_read": 3, "unchanged": 3}
    assert state(home) == {"1": "a", "2": "b", "3": "c"}


@pytest.mark.parametrize("cursor", [None, "updated_at"])
def test_an_older_version_in_another_file_takes_its_place(home: SyncHome, cursor: str | None) -> None:
    home.configure(REGION | ({"cursor": cursor} if cursor else {}))
    header = ["region_code", "region_name", "updated_at"]
    home.csv("r1.csv", header, [["1", "old", "2026-01-01"], ["2", "x", "2026-01-01"]])
    home.csv("r2.csv", header, [["1", "new", "2026-02-01"], ["3", "y", "2026-01-01"]])
    assert numbers(home.one()) == {"rows_read": 4, "inserted": 3, "superseded": 1}
    home.csv("r2.csv", header, [["3", "y", "2026-01-01"]])
    assert numbers(home.one()) == {"rows_read": 3, "updated": 1, "unchanged": 2}
    assert state(home) == {"1": "old", "2": "x", "3": "y"}


def test_more_than_the_limit_is_taken_for_a_fault(home: SyncHome) -> None:
    home.configure(REGION | {"vanished_limit": 0.2})
    everything = {f"_{i}": "x" for i in range(10)}
    write(home, "r1.csv", **everything)
    home.sync()
    write(home, "r1.csv", **dict(list(everything.items())[3:]))
    for _ in range(2):  # it is said in each run, until the source or the limit is changed
        with pytest.raises(YiwangError) as caught:
            home.sync()
        assert caught.value.code == "YW-SYNC-006" and "3" in caught.value.message and "10" in caught.value.message
    assert len(state(home)) == 10 and home.rows("SELECT count(*) FROM raw.quarantine") == [0]
    write(home, "r1.csv", **dict(list(everything.items())[2:]))
    assert numbers(home.one()) == {"rows_read": 10, "unchanged": 8, "deleted": 2}
    home.configure(REGION | {"vanished_limit": 0.9})
    assert numbers(home.one()) == {}  # the limit alone reads nothing anew
    write(home, "r1.csv", **dict(list(everything.items())[7:]))
    assert numbers(home.one())["deleted"] == 5


def test_all_files_gone_is_an_error_not_a_deletion(home: SyncHome) -> None:
    path = write(home, "r1.csv", _1="a")
    home.sync()
    path.unlink()
    with pytest.raises(YiwangError) as caught:
        home.sync()
    assert caught.value.code == "YW-SYNC-002" and state(home) == {"1": "a"}


def test_an_emptied_file_deletes_what_it_held_up_to_the_limit(home: SyncHome) -> None:
    write(home, "r1.csv", _1="a")
    write(home, "r2.csv", _2="b")
    home.sync()
    write(home, "r2.csv")
    assert numbers(home.one()) == {"rows_read": 2, "unchanged": 1, "deleted": 1}
    assert state(home) == {"1": "a"}


def test_a_record_that_became_unreadable_is_not_deleted(home: SyncHome) -> None:
    home.configure(REGION | {"fields": {"effective_from": "since"}})
    path, header = home.folder / "r1.csv", "region_code,region_name,since\n"
    path.write_text(header + "1,a,2026-01-01\n2,b,2026-01-01\n3,c,2026-01-01\n")
    home.sync()
    path.write_text(header + "1,a,2026-01-01\n2,b,yesterday\n")  # 2 has its key, 3 is gone
    assert numbers(home.one()) == {"rows_read": 3, "unchanged": 1, "deleted": 1, "quarantined": 1}
    assert state(home) == {"1": "a", "2": "b"}
    path.write_text(header + "1,a\n")  # neither 1 nor 2 can be told
    assert numbers(home.one()) == {"rows_read": 1, "quarantined": 1}
    assert state(home) == {"1": "a", "2": "b"}
    path.write_text(header + "1,a,2026-01-01\n")
    assert numbers(home.one()) == {"rows_read": 2, "unchanged": 1, "deleted": 1}
    assert state(home) == {"1": "a"} and home.rows("SELECT count(*) FROM raw.quarantine") == [0]


def test_what_is_set_aside_of_a_file_goes_with_it(home: SyncHome) -> None:
    write(home, "r1.csv", _1="a")
    path = home.csv("r2.csv", ["region_code", "region_name"], [["", "no key"]])
    home.sync()
    path.unlink()
    home.sync()
    assert home.rows("SELECT count(*) FROM raw.quarantine") == [0]


def test_the_same_record_of_another_source_or_subject_stays(home: SyncHome) -> None:
    home.configure(REGION, REGION | {"name": "other", "location": "s.csv"})
    write(home, "r1.csv", _1="a", _2="b")
    write(home, "s.csv", _1="a", _2="b")
    home.sync()
    write(home, "r1.csv", _1="a")
    home.sync()
    assert home.rows("SELECT source, region_code FROM raw.region WHERE _is_deleted") == [("city", "2")]


def test_a_source_that_deletes_from_now_on_deletes_what_left_before(home: SyncHome) -> None:
    home.configure(REGION | {"vanished": "keep"})
    write(home, "r1.csv", _1="a", _2="b")
    write(home, "r2.csv", _3="c")
    home.sync()
    write(home, "r1.csv", _1="a")
    (home.folder / "r2.csv").unlink()
    home.sync()
    home.configure(REGION)
    assert numbers(home.one()) == {"rows_read": 3, "unchanged": 1, "deleted": 2}


def test_a_deletion_mark_and_a_vanished_record_agree(home: SyncHome) -> None:
    home.configure(REGION | {"deleted": "gone"})
    header = ["region_code", "gone"]
    home.csv("r1.csv", header, [["1", ""], ["2", "1"]])
    assert numbers(home.one()) == {"rows_read": 2, "inserted": 1, "deleted": 1}
    home.csv("r1.csv", header, [["1", ""]])
    assert numbers(home.one()) == {"rows_read": 1, "unchanged": 1}  # 2 is deleted already


def test_json_lines_count_as_well(home: SyncHome) -> None:
    home.configure(REGION | {"location": "r*.jsonl"})
    (home.folder / "r.jsonl").write_text('{"region_code": "1"}\n{"region_code": "2"}\n')
    home.sync()
    (home.folder / "r.jsonl").write_text('{"region_code": "1"}\n{"region_code": ')
    assert numbers(home.one()) == {"rows_read": 2, "unchanged": 1, "quarantined": 1}
    (home.folder / "r.jsonl").write_text('{"region_code": "1"}\n')
    assert numbers(home.one()) == {"rows_read": 2, "unchanged": 1, "deleted": 1}


FILES = st.dictionaries(st.sampled_from(["r1.csv", "r2.csv"]), st.dictionaries(st.sampled_from("1234"), st.sampled_from("ab"), max_size=4), min_size=1)


@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FILES, min_size=2, max_size=3))
def test_the_records_are_those_of_the_files(steps: list[dict[str, dict[str, str]]]) -> None:
    """Whatever the files were before: their present records are there, the last file's version of each, and no other."""
    with TemporaryDirectory() as folder:
        home = home_in(Path(folder))
        home.configure(REGION)
        for step in steps:
            for name in ("r1.csv", "r2.csv"):
                if name in step:
                    home.csv(name, ["region_code", "region_name"], list(step[name].items()))
                else:
                    (home.folder / name).unlink(missing_ok=True)
            home.sync()
            assert state(home) == step.get("r1.csv", {}) | step.get("r2.csv", {})
