"""Which files a location means: folders, patterns, odd names, links, files that come and go."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.domain.errors import YiwangError
from pipelines.sources import files
from tests.support.files import Reader, home_in, reader
from tests.support.sync import numbers

pytestmark = pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning")  # a dependency of dlt imports it


@pytest.fixture(scope="module")
def _reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with reader(tmp_path_factory.mktemp("folders")) as found:
        yield found


@pytest.fixture
def folder(_reader: Reader, tmp_path: Path) -> Reader:
    """Each file holds one case, named like the file without its suffix."""
    for name in ("a.csv", "B.CSV", "deep/c.csv", "deep/er/d.jsonl", "deep/er/e.JSONL", ".hidden.csv", ".cache/f.csv", "~$g.csv", "deep/h.dat", "i.csv.bak"):
        put(tmp_path / name)
    return _reader.of(tmp_path)


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = path.name.lstrip(".").split(".")[0]
    path.write_text(f'{{"case_number": "{stem}"}}\n' if "json" in path.name.lower() else f"case_number\n{stem}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("*.csv", "B a"), ("**/*.csv", "B a c"), ("**/*.JSONL", "d e"), ("deep", "c d e"), ("deep/", "c d e"), (".", "B a c d e"), ("deep/*/*", "d e"), ("./a.csv", "a"),
        ("~*.csv", "~$g"), ("[ab].csv", "a"), ("?.csv", "B a"), (".cache", "f"), (".h*.csv", "hidden"),
    ],
)
def test_locations(folder: Reader, location: str, expected: str) -> None:
    assert sorted(folder.read(location).of("case_number")) == expected.split()


def test_a_folder_in_one_format_only_and_from_elsewhere(folder: Reader) -> None:
    assert folder.read(".", format="csv").of("case_number") == ["B", "a", "c"]
    elsewhere = folder.of(folder.folder / "deep" / "er")
    assert elsewhere.read("../../*.csv").of("case_number") == ["B", "a"]
    assert elsewhere.read(str(folder.folder / "deep")).of("case_number") == ["c", "d", "e"]


@pytest.mark.parametrize("location", ["none", "none/*.csv", "deep/er/*.csv"])
def test_no_file_is_said(folder: Reader, location: str) -> None:
    (folder.folder / "none").mkdir()
    with pytest.raises(YiwangError) as caught:
        folder.read(location)
    assert caught.value.code == "YW-SYNC-002" and location in caught.value.message


@pytest.mark.parametrize("name", ["a'b\"c.csv", "[x] (副本) {1}.csv", "名 称？*.csv", "line\nbreak.csv", "%24${HOME}.csv", "-rf.jsonl", "tab\t.jsonl"])
def test_odd_names(folder: Reader, name: str) -> None:
    for old in ("a.csv", "B.CSV", "i.csv.bak"):
        (folder.folder / old).unlink()
    path = folder.folder / name
    path.write_text('{"case_number": "C1"}\n' if name.endswith("jsonl") else "case_number\nC1\n")
    assert folder.read("*.*").of("case_number") == ["C1"]


def test_a_name_that_is_not_utf8_is_said(folder: Reader) -> None:
    path = os.fsencode(folder.folder) + b"/" + "办件".encode("gb18030") + b".csv"
    Path(os.fsdecode(path)).write_text("case_number\nC1\n")
    with pytest.raises(YiwangError, match="办件.csv") as caught:
        folder.read("*.csv")
    assert caught.value.code == "YW-SYNC-004"


def test_links_are_followed_but_not_round_in_circles(folder: Reader) -> None:
    (folder.folder / "deep" / "up").symlink_to("..")
    (folder.folder / "deep" / "loop.csv").symlink_to("loop.csv")
    (folder.folder / "deep" / "broken.csv").symlink_to("nowhere.csv")
    (folder.folder / "deep" / "link.csv").symlink_to("../a.csv")
    assert sorted(folder.read("deep").of("case_number")) == ["a", "c", "d", "e"]


def test_a_file_that_vanishes_meanwhile_is_said_and_the_next_run_heals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_in(tmp_path)
    home.configure({"subject": "case", "location": "*.csv"})
    put(tmp_path / "a.csv")
    late = put(tmp_path / "b.csv")
    digest = files._content_digest

    def vanishing(file: files.DataFile) -> str:
        found = digest(file)
        late.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(files, "_content_digest", vanishing)
    with pytest.raises(YiwangError, match=r"b\.csv") as caught:
        home.sync()
    assert caught.value.code == "YW-SYNC-004"
    assert numbers(home.one()) == {"rows_read": 1, "inserted": 1}


def test_a_file_without_permission_is_said(folder: Reader) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (folder.folder / "a.csv").chmod(0)
    with pytest.raises(YiwangError, match="权限"):
        folder.read("*.csv")


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_in(tmp_path)
    home.configure({"subject": "case", "location": "*.jsonl"})
    path = put(tmp_path / "a.jsonl")
    digest = files._content_digest

    def growing(file: files.DataFile) -> str:
        found = digest(file)
        path.write_text(path.read_text() + '{"case_number": "b"}\n')
        return found

    monkeypatch.setattr(files, "_content_digest", growing)
    assert numbers(home.one()) == {"rows_read": 2, "inserted": 2}
    monkeypatch.setattr(files, "_content_digest", digest)
    assert numbers(home.one()) == {"rows_read": 2, "unchanged": 2}
    assert numbers(home.one()) == {}
