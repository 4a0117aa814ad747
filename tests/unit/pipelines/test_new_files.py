"""When the file sensor asks for a run: real files, a clock that the test moves."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from models.domain.settings import Settings
from pipelines.defs.watch.files import Decision, Seen, decide
from pipelines.sources.service import load_sources, run_lock

SOURCES = """
sources:
  - {name: city, subject: case, location: "cases/*.csv"}
  - {name: city, subject: review, location: "reviews/*.csv"}
"""
Look = Callable[[float], Decision]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "sources.yml").write_text(SOURCES)
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "1.csv").write_text("case_number\n1\n")
    return Settings(home=tmp_path, quiet_seconds=60)


@pytest.fixture
def look(settings: Settings) -> Look:
    """Looks at a second, remembering through the cursor's text as Dagster does."""
    cursor = None

    def at(second: float) -> Decision:
        nonlocal cursor
        decision = decide(settings, load_sources(settings.home / "sources.yml"), Seen.from_cursor(cursor), second)
        cursor = decision.seen.to_cursor()
        return decision

    return at


def test_a_new_file_starts_a_run_once_it_is_quiet(look: Look) -> None:
    keys = [look(second).run_key for second in (0, 59, 60, 61, 1000)]
    assert [key is not None for key in keys] == [False, False, True, False, False]


def test_a_file_that_grows_is_left_until_it_stops(look: Look, settings: Settings) -> None:
    with (settings.home / "cases" / "1.csv").open("a") as file:
        for second in range(0, 300, 30):
            file.write("2\n")
            file.flush()
            assert look(second).run_key is None, "still growing"
    assert "60 秒" in look(310).reason
    assert look(330).run_key is not None


def test_a_changed_a_new_and_a_removed_file_are_each_a_run_of_their_own(look: Look, settings: Settings) -> None:
    case, review = settings.home / "cases" / "1.csv", settings.home / "reviews" / "1.csv"
    keys = [look(0).run_key, look(60).run_key]
    os.utime(case, (1, 1))
    keys += [look(100).run_key, look(160).run_key]
    review.parent.mkdir()
    review.write_text("review_id\n1\n")
    keys += [look(200).run_key, look(260).run_key]
    review.unlink()
    keys += [look(300).run_key, look(360).run_key]
    assert keys[::2] == [None] * 4
    assert None not in keys[1::2] and len(set(keys)) == 5, "files that return to an earlier state are a run, too"


def test_no_run_is_asked_for_while_one_is_at_work(look: Look, settings: Settings) -> None:
    look(0)
    with run_lock(settings):
        busy = look(60)
    assert busy.run_key is None and str(os.getpid()) in busy.reason
    assert look(61).run_key is not None


def test_on_the_first_look_only_files_younger_than_the_publication_count(snapshot_settings: Settings) -> None:
    settings = snapshot_settings.model_copy(update={"quiet_seconds": 0})
    (settings.home / "sources.yml").write_text(SOURCES)
    file = settings.home / "cases" / "1.csv"
    file.parent.mkdir()
    file.write_text("case_number\n1\n")
    sources = load_sources(settings.home / "sources.yml")
    assert decide(settings, sources, Seen(), 0).run_key is not None
    os.utime(file, (1, 1))
    assert decide(settings, sources, Seen(), 0).run_key is None


@pytest.mark.parametrize("cursor", [None, "", "{", "[]", '{"other": 1}', "null"])
def test_a_damaged_cursor_is_a_first_look(cursor: str | None) -> None:
    assert Seen.from_cursor(cursor) == Seen()
