"""Bad input as files bring it: a clear error, nothing lost or doubled, and the next run heals.

Beside these: test_sync.py (empty, damaged and unknown files, encodings, missing and new columns, duplicate keys, instants
without zone, touched files), test_workbook.py, test_json_lines.py, test_xes.py (what their formats can have wrong) and
test_sync_kill.py.
"""

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.domain.errors import YiwangError
from pipelines.sources.formats import text
from tests.support.examples import examples
from tests.support.files import Reader, home_in, reader
from tests.support.sync import numbers

pytestmark = pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning")  # a dependency of dlt imports it
CASE: dict[str, Any] = {"subject": "case", "location": "case.*"}
ROWS = [{"case_number": f"C{i}", "matter_code": f"M{i}"} for i in range(3)]


@pytest.fixture(scope="module")
def _reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with reader(tmp_path_factory.mktemp("bad")) as found:
        yield found


@pytest.fixture
def bad(_reader: Reader, tmp_path: Path) -> Reader:
    return _reader.of(tmp_path)


def write(folder: Path, form: str, rows: list[dict[str, Any]]) -> Path:
    """The rows in a format."""
    path = folder / f"case.{form}"
    if form == "csv":
        path.write_text("\n".join([",".join(rows[0]), *(",".join(str(v) for v in row.values()) for row in rows)]) + "\n", encoding="utf-8")
    elif form == "jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif form == "xes":
        traces = ("".join(f"<string key='{key}' value='{value}'/>" for key, value in row.items()) for row in rows)
        path.write_text("<log>" + "".join(f"<trace>{trace}</trace>" for trace in traces) + "</log>", encoding="utf-8")
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        import openpyxl

        book = openpyxl.Workbook()
        for cells in (list(rows[0]), *(list(row.values()) for row in rows)):
            book.worksheets[0].append(cells)
        book.save(path)
    return path


FORMS = ["csv", "jsonl", "xlsx", "xes", "parquet"]
XES = {"rows": "trace", "fields": {"case_number": "case:case_number", "matter_code": "case:matter_code"}}


def source(form: str) -> dict[str, Any]:
    return CASE | (XES if form == "xes" else {})


@pytest.mark.parametrize("form", FORMS)
def test_the_same_rows_in_any_format(bad: Reader, form: str) -> None:
    write(bad.folder, form, ROWS)
    found = bad.read("case.*", **(XES if form == "xes" else {}))
    assert found.of("case_number", "matter_code") == [("C0", "M0"), ("C1", "M1"), ("C2", "M2")]
    assert found.of("_file_row") == ([2, 3, 4] if form == "xlsx" else [1, 2, 3])


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_file_and_a_column_that_is_missing(bad: Reader, form: str) -> None:
    path = write(bad.folder, form, [{"matter_code": "M"}])
    with pytest.raises(YiwangError, match="case_number") as caught:
        bad.read("case.*", **(XES if form == "xes" else {}))
    assert caught.value.code == "YW-SYNC-003"
    path.write_bytes(b"")
    with pytest.raises(YiwangError, match="空") as caught:
        bad.read("case.*")
    assert caught.value.code == "YW-SYNC-004"


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_off_at_any_place_changes_nothing_and_the_whole_one_comes_in(tmp_path: Path, form: str) -> None:
    home = home_in(tmp_path)
    home.configure(source(form))
    path = write(tmp_path, form, ROWS)
    home.sync()
    whole = write(tmp_path, form, [*ROWS, {"case_number": "C9", "matter_code": "M9"}]).read_bytes()
    path.write_bytes(whole[:-4])
    if form in ("csv", "jsonl"):  # what cannot be told from a whole file by itself: the last line is cut
        count = home.one()
        assert count.unchanged == 3 and count.inserted + count.quarantined == 1
    else:
        with pytest.raises(YiwangError) as caught:
            home.sync()
        assert caught.value.code == "YW-SYNC-004"
        assert home.rows('SELECT count(*) FROM raw."case"') == [3]
    path.write_bytes(whole)
    home.sync()
    assert home.rows('SELECT matter_code FROM raw."case" WHERE case_number = ?', "C9") == ["M9"]
    assert home.rows("SELECT count(*) FROM raw.quarantine") == [0]


@pytest.mark.parametrize("form", ["csv", "jsonl", "xlsx"])
def test_a_new_column_is_reported_and_duplicate_keys_are_superseded(tmp_path: Path, form: str) -> None:
    home = home_in(tmp_path)
    home.configure(CASE)
    write(tmp_path, form, ROWS)
    assert home.one().unmapped == ()
    write(tmp_path, form, [row | {"new": "x"} for row in [*ROWS, ROWS[0] | {"matter_code": "later"}]])
    count = home.one()
    assert count.unmapped == ("new",) and numbers(count) == {"rows_read": 4, "updated": 1, "unchanged": 2, "superseded": 1}
    assert home.rows('SELECT matter_code FROM raw."case" ORDER BY case_number') == ["later", "M1", "M2"]


EDGES = {
    "0001-01-01": datetime(1, 1, 1, tzinfo=UTC),
    "0001-01-01T00:00:00Z": datetime(1, 1, 1, tzinfo=UTC),
    "9999-12-31 23:59:59": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
    "0000-01-01": None,
    "10000-01-01": None,
    "-0044-03-15": None,
    "-infinity": None,
    "1900-02-29": None,
    "2024-02-29": datetime(2024, 2, 29, tzinfo=UTC),
}


@pytest.mark.parametrize("form", ["csv", "jsonl", "xlsx"])
def test_the_first_and_the_last_year(bad: Reader, form: str) -> None:
    write(bad.folder, form, [{"case_number": text, "received_at": text} for text in EDGES])
    found = bad.read("case.*", zone="UTC")
    assert dict(found.of("case_number", "received_at")) == {text: at for text, at in EDGES.items() if at}
    assert len(found.aside) == sum(at is None for at in EDGES.values()) and {row["_reason_code"] for row in found.aside} == {"not_typed"}


def test_a_case_that_ends_before_it_starts_is_loaded_for_the_checks_to_flag(bad: Reader) -> None:
    write(bad.folder, "csv", [{"case_number": "C1", "received_at": "2026-03-09 09:00", "completed_at": "2026-03-02 09:00"}])
    ((received, completed),) = bad.read("case.csv").of("received_at", "completed_at")
    assert completed < received  # dbt flags it (is_end_before_start), quality counts it


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_line_of_a_hundred_megabytes_is_set_aside_or_refused(bad: Reader, form: str) -> None:
    path = write(bad.folder, form, ROWS)
    head, first, *rest = path.read_bytes().splitlines(keepends=True)
    if form == "jsonl":
        head, first, rest = b"", head, [first, *rest]
    with path.open("wb") as file:
        file.write(head + first)
        file.write(b"C8," if form == "csv" else b'{"case_number": "')
        for _ in range(100):
            file.write(b"x" * (1 << 20))
        file.write(b"\n" if form == "csv" else b'"}\n')
        file.writelines(rest)
    if form == "csv":  # DuckDB would pass over it in silence
        with pytest.raises(YiwangError, match="太长") as caught:
            bad.read("case.*")
        assert caught.value.code == "YW-SYNC-004"
        return
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = bad.read("case.*")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    assert found.of("case_number") == ["C0", "C1", "C2"]
    ((number, reason),) = found.reasons
    assert number == 2 and "太长" in reason and len(found.aside[0]["_raw"]) < 2_000
    assert grown < 90  # MB; the line is never held as a whole


@pytest.mark.parametrize("megabytes", [0, 20])
def test_an_open_quote_that_swallows_lines_is_refused(bad: Reader, megabytes: int) -> None:
    lines = "".join(f"C{i},{'x' * 1000}\n" for i in range(1000 * megabytes or 3))
    (bad.folder / "case.csv").write_text('case_number,matter_code\nA,M\nB,"open\n' + lines)
    with pytest.raises(YiwangError, match="第 3 行的引号没有配对") as caught:
        bad.read("case.csv")
    assert caught.value.code == "YW-SYNC-004"
    (bad.folder / "case.csv").write_text('case_number,matter_code\nA,M\nC,"open\n')
    found = bad.read("case.csv")
    assert found.of("case_number") == ["A"] and "引号没有配对" in found.reasons[0][1]


def test_a_first_line_of_a_hundred_megabytes_is_no_header(bad: Reader) -> None:
    with (bad.folder / "case.csv").open("wb") as file:
        for _ in range(100):
            file.write(b"x" * (1 << 20))
    with pytest.raises(YiwangError, match="第一行太长"):
        bad.read("case.csv")


def test_broken_lines_of_many_small_files_keep_their_place(bad: Reader) -> None:
    for i in range(4):
        (bad.folder / f"case{i}.csv").write_text(f"case_number,matter_code\nC{i},M\nD{i}\nE{i},M\n", encoding="utf-8")
    (bad.folder / "case5.csv").write_bytes("matter_code,case_number\n事,甲\n".encode("gb18030"))
    found = bad.read("case*.csv")
    assert sorted(found.of("case_number", "_file_row")) == sorted([(f"{c}{i}", n) for i in range(4) for c, n in (("C", 1), ("E", 2))] + [("甲", 1)])
    assert found.reasons == [(3, "第 3 行无法解析：列数少于表头")] * 4
    assert {json.loads(row["_raw"])["line"] for row in found.aside} == {"D0", "D1", "D2", "D3"} and len({row["_file_id"] for row in found.aside}) == 4


@pytest.mark.parametrize(
    "content",
    [
        "case_number,matter_code\r\nC1,M1\nC2,M2\r\n", "case_number,matter_code\nC1,M1\r\nC2,M2\n", "case_number,matter_code\rC1,M1\nC2,M2\r", "\r\ncase_number,matter_code\nC1,M1\nC2,M2\n",
        "\n \ncase_number,matter_code\nC1,M1\n\nC2,M2\n", "\ufeff\r\n,\r\ncase_number,matter_code\r\nC1,M1\r\nC2,M2\r\n", "\r\rcase_number,matter_code\rC1,M1\rC2,M2",
        "case_number,matter_code,\nC1,M1,\nC2,M2, \n", ',case_number,matter_code,,\r\n,C1,M1,,""\r\n,C2,M2,,',
    ],
)  # fmt: skip
def test_ends_of_lines_mixed_blank_lines_before_the_header_and_delimiters_at_the_end(bad: Reader, content: str) -> None:
    (bad.folder / "case.csv").write_bytes(content.encode())
    found = bad.read("case.csv")
    assert found.of("case_number", "matter_code", "_file_row") == [("C1", "M1", 1), ("C2", "M2", 2)] and not found.aside and not found.unmapped
    assert list(bad.settings.work.joinpath("duckdb_tmp").iterdir()) == []


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.text(st.sampled_from('ab" \r\n,汉'), max_size=6), min_size=1, max_size=8),
    ends=st.lists(st.sampled_from(["\r\n", "\n", "\r"]), min_size=8, max_size=8),
    chunk=st.integers(1, 9),
)
def test_any_mixture_of_ends_keeps_what_stands_within_quotes(tmp_path: Path, values: list[str], ends: list[str], chunk: int) -> None:
    lines = [f'C{i},"{value.replace(chr(34), chr(34) * 2)}"' for i, value in enumerate(values)]
    (tmp_path / "mixed").write_bytes("".join(line + end for line, end in zip(lines, ends, strict=False)).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "CHUNK", chunk)
        text.with_one_end(tmp_path / "mixed", tmp_path / "one", ",")
        is_mixed = text.has_mixed_ends(tmp_path / "mixed")
    assert (tmp_path / "one").read_bytes().decode() == "".join(line + "\n" for line in lines)
    assert is_mixed or len(set(ends[: len(lines)])) == 1


def test_quotes_within_a_value_open_nothing_where_ends_are_mixed(bad: Reader) -> None:
    (bad.folder / "case.csv").write_bytes(b'case_number,matter_code\r\nC1,5" pipe\nC2,"a\r\nb"\r\nC3, "x"\nC4\r\n"C5",M\n')
    found = bad.read("case.csv")
    assert found.of("case_number", "matter_code") == [("C1", '5" pipe'), ("C2", "a\r\nb"), ("C3", "x"), ("C5", "M")]
    assert [reason.partition("：")[2] for _, reason in found.reasons] == ["列数少于表头"]


def test_a_column_without_a_name_must_be_empty(bad: Reader) -> None:
    (bad.folder / "case.csv").write_text("case_number,,matter_code\n" + "C,,M\n" * 3 + "C,x,M\n")
    with pytest.raises(YiwangError, match="第 2 列没有列名") as caught:
        bad.read("case.csv")
    assert caught.value.code == "YW-SYNC-004"


def test_what_duckdb_cannot_parse_is_said(bad: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.sources.formats.delimited.has_mixed_ends", lambda _: False)
    (bad.folder / "case.csv").write_bytes(b"case_number,matter_code\r\nC1,M1\nC2,M2\r\n")
    with pytest.raises(YiwangError, match=r"case\.csv.*解析") as caught:
        bad.read("case.csv")
    assert caught.value.code == "YW-SYNC-004"


def test_one_of_many_small_files_that_cannot_be_read_is_named(bad: Reader) -> None:
    for i in range(3):
        (bad.folder / f"case{i}.csv").write_text("case_number,matter_code\nA,M\n" + ('B,"open\nC,M\n' if i == 1 else "D,M\n"), encoding="utf-8")
    with pytest.raises(YiwangError, match=r"case1\.csv.*第 3 行的引号没有配对") as caught:
        bad.read("case*.csv")
    assert caught.value.code == "YW-SYNC-004"


def test_gb18030_far_down_in_a_file_is_found(bad: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "CHUNK", 1000)
    head = b"case_number,matter_code\n" + b"".join(b"%04d,abc\n" % i for i in range(500))
    (bad.folder / "case.csv").write_bytes(head + "甲,民政局\n乙,公安局\n".encode("gb18030"))
    assert bad.read("case.csv").of("case_number", "matter_code")[500:] == [("甲", "民政局"), ("乙", "公安局")]


@pytest.mark.parametrize("broken", [b"\xff\xfe", b"\xe9x"])
@pytest.mark.parametrize("other", ["街道", "街道办", "ascii only"])
def test_one_bad_byte_sets_its_line_aside_however_little_else_is_not_ascii(bad: Reader, broken: bytes, other: str) -> None:
    (bad.folder / "case.csv").write_bytes(f"case_number,matter_code\nC1,{other}{other}\n".encode() + b"C2," + broken + b"\nC3,M\n")
    found = bad.read("case.csv")
    if other.isascii() and broken == b"\xe9x":  # it is a character of GB18030, and nothing says that it is not meant
        assert found.of("case_number") == ["C1", "C2", "C3"]
        return
    assert found.of("case_number", "matter_code") == [("C1", other * 2), ("C3", "M")]
    assert found.reasons == [(3, "第 3 行无法解析：含有不是 UTF-8 的字节")]


# --- the disk -----------------------------------------------------------------------------------------------

FULL = """
import resource, sys
from pathlib import Path
from models.domain.errors import YiwangError
from tests.support.files import SyncHome, Settings
home = SyncHome(Path(sys.argv[1]), Settings(home=Path(sys.argv[1]) / "home", threads=1, memory_limit="1GB"))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    home.sync()
except YiwangError as error:
    sys.exit("said " + error.code)
except Exception as error:
    sys.exit("raised " + type(error).__name__ + ": " + str(error)[:200])
"""


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_disk_that_is_full_leaves_all_as_it_was_and_the_next_run_completes_it(tmp_path: Path, form: str) -> None:
    home = home_in(tmp_path)
    home.configure(CASE)
    write(tmp_path, form, ROWS)
    home.sync()
    write(tmp_path, form, [*ROWS, *({"case_number": f"N{i}", "matter_code": os.urandom(40).hex()} for i in range(3000))])
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path), str(100_000)], cwd=Path(__file__).parents[2], capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 1 and ("raised" in done.stderr or "said" in done.stderr), done.stderr[-500:]
    assert home.rows('SELECT count(*) FROM raw."case"') == [3]
    assert numbers(home.one()) == {"rows_read": 3003, "inserted": 3000, "unchanged": 3}
    assert [path.name for path in (home.settings.work / "duckdb_tmp").iterdir()] == []


def test_no_space_for_what_is_read_is_not_taken_for_a_broken_file(bad: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    write(bad.folder, "jsonl", ROWS)

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pipelines.sources.formats.pa.ipc.new_stream", full)
    with pytest.raises(OSError, match="No space left on device"):
        bad.read("case.jsonl")


# --- the clock ----------------------------------------------------------------------------------------------


def at_time(path: Path, year: int) -> None:
    at = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    os.utime(path, (at, at))


def test_files_of_the_future_and_a_clock_that_went_back(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    home.configure(CASE)
    path = write(tmp_path, "csv", ROWS)
    at_time(path, 2099)
    assert numbers(home.one()) == {"rows_read": 3, "inserted": 3}
    write(tmp_path, "csv", [*ROWS[:2], ROWS[2] | {"matter_code": "X2"}])  # of the same size
    at_time(path, 1971)
    assert numbers(home.one()) == {"rows_read": 3, "updated": 1, "unchanged": 2}
    at_time(path, 2099)
    assert numbers(home.one()) == {}


def test_nothing_depends_on_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_in(tmp_path)
    home.configure(CASE)
    for year, rows in ((2040, ROWS[:1]), (1999, ROWS[:2]), (2026, ROWS)):  # the system's clock goes back and forth between runs
        write(tmp_path, "jsonl", rows)
        monkeypatch.setattr("time.time", lambda year=year: datetime(year, 1, 1, tzinfo=UTC).timestamp())
        assert numbers(home.one())["inserted"] == 1
    assert home.rows('SELECT case_number, _run_seq FROM raw."case" ORDER BY 1') == [("C0", 1), ("C1", 2), ("C2", 3)]


def test_reading_files_asks_no_clock() -> None:
    folder = Path(__file__).parents[2] / "pipelines" / "sources"
    sources = [*folder.glob("*.py"), *folder.glob("formats/*.py"), folder / "kinds" / "file.py"]
    asking = {path.name for path in sources if any(word in path.read_text(encoding="utf-8") for word in (".now(", "time.time(", ".today(", "utcnow"))}
    assert asking == set()
