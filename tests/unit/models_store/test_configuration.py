"""The edited ``sources.yml``: nobody's change is lost, every version can be given back."""

import json
import multiprocessing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models.domain.errors import YiwangError
from models.store.configuration import FOLDER, LOG, ConfigurationFile, fingerprint

AT = datetime(2026, 6, 30, 12, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> ConfigurationFile:
    return ConfigurationFile(tmp_path / "home")


def test_a_new_version_replaces_the_old_one_which_is_kept(file: ConfigurationFile) -> None:
    text, base = file.read()
    assert (text, base) == ("", fingerprint(b""))
    first = file.save("sources: 一\n", base, "li", AT)
    second = file.save("sources: 二\n", first, "wang", AT + timedelta(minutes=1))
    assert file.read() == ("sources: 二\n", second)
    (name,) = file.versions()
    assert file.version(name) == "sources: 一\n"
    assert [(one.who, one.what, one.fingerprint, one.replaced) for one in file.log()] == [("wang", "save", second, name), ("li", "save", first, None)]
    file.save(file.version(name), second, "zhao", AT + timedelta(minutes=2), "restore")
    assert file.read()[0] == "sources: 一\n" and len(file.versions()) == 2 and file.log()[0].what == "restore"


def test_a_change_over_somebody_elses_is_refused(file: ConfigurationFile) -> None:
    _, base = file.read()
    file.save("one", base, "li", AT)
    with pytest.raises(YiwangError) as refused:
        file.save("two", base, "wang", AT)
    assert refused.value.code == "YW-SOURCES-001"
    assert file.read()[0] == "one" and len(file.log()) == 1 and file.versions() == []


def test_a_change_by_hand_counts_too(file: ConfigurationFile) -> None:
    base = file.save("one", file.read()[1], "li", AT)
    file.path.write_text("by hand")
    with pytest.raises(YiwangError):
        file.save("two", base, "wang", AT)
    assert file.path.read_text() == "by hand"


def test_saving_the_same_again_changes_nothing(file: ConfigurationFile) -> None:
    base = file.save("one", file.read()[1], "li", AT)
    assert file.save("one", base, "li", AT) == base
    assert file.versions() == [] and len(file.log()) == 1


def test_two_versions_of_one_moment_are_both_kept(file: ConfigurationFile) -> None:
    base = file.read()[1]
    for number in range(4):
        base = file.save(str(number), base, "li", AT)
    assert sorted(file.version(name) for name in file.versions()) == ["0", "1", "2"]


def test_files_are_private_and_the_files_own_mode_stays(file: ConfigurationFile) -> None:
    base = file.save("one", file.read()[1], "li", AT)
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.path.chmod(0o640)
    file.save("two", base, "li", AT)
    assert file.path.stat().st_mode & 0o777 == 0o640
    home = file.path.parent
    assert (home / LOG).stat().st_mode & 0o777 == 0o600 and (home / FOLDER).stat().st_mode & 0o777 == 0o700
    assert not [path for path in home.iterdir() if path.name.startswith(".sources.yml")]


@pytest.mark.parametrize("name", ["../sources.yml", "..", "", "20260630T120000000000Z/../../digest.key", "20990101T000000000000Z", "x" * 300])
def test_only_versions_are_given(file: ConfigurationFile, name: str) -> None:
    file.save("two", file.save("one", file.read()[1], "li", AT), "li", AT)
    (file.path.parent / "digest.key").write_text("secret")
    with pytest.raises(YiwangError) as refused:
        file.version(name)
    assert refused.value.code == "YW-SERVE-006"


def test_a_damaged_line_of_the_log_hides_no_other(file: ConfigurationFile) -> None:
    base = file.save("one", file.read()[1], "li", AT)
    log = file.path.parent / LOG
    log.write_text("{half\n" + log.read_text() + json.dumps({"at": 5}) + "\n")
    file.save("two", base, "wang", AT)
    assert [one.who for one in file.log()] == ["wang", "li"]


def _save(home: Path, base: str, number: int) -> bool:
    try:
        ConfigurationFile(home).save(f"by {number}", base, str(number), AT)
    except YiwangError:
        return False
    return True


def test_of_many_at_once_one_wins(file: ConfigurationFile) -> None:
    base = file.save("begin", file.read()[1], "li", AT)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        won = pool.starmap(_save, [(file.path.parent, base, number) for number in range(6)])
    assert sum(won) == 1
    assert file.read()[0] == f"by {won.index(True)}" and len(file.log()) == 2
