"""Sealed texts."""

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from models.domain.settings import Settings
from serving.web import seals
from serving.web.seals import Seals


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YIWANG_SESSION_KEY", raising=False)


def test_a_seal_is_opened_by_every_process_of_the_home(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    value = Seals(settings).seal("令牌 token")
    assert Seals(settings).open(value) == "令牌 token" and "token" not in value
    assert [path.name for path in tmp_path.iterdir()] == ["session.key"]
    assert (tmp_path / "session.key").stat().st_mode & 0o777 == 0o600


def test_opening_makes_no_key(tmp_path: Path) -> None:
    assert Seals(Settings(home=tmp_path)).open("gAAAAA") is None
    assert list(tmp_path.iterdir()) == []


def test_the_key_of_the_environment_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIWANG_SESSION_KEY", "k" * 32)
    value = Seals(Settings(home=tmp_path / "a")).seal("t")
    assert Seals(Settings(home=tmp_path / "b")).open(value) == "t"
    assert list(tmp_path.iterdir()) == []


def test_an_old_seal_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Seals(Settings(home=tmp_path))
    made.seal("t")
    fernet = made._key(make=False)
    assert isinstance(fernet, Fernet)
    old = fernet.encrypt_at_time(b"t", 1_000_000).decode()
    assert made.open(old) is None
    assert seals.LIFETIME == 12 * 3600


@given(st.text(max_size=200))
def test_what_was_not_sealed_here_opens_nothing(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    made = Seals(Settings(home=tmp_path_factory.getbasetemp()))
    made.seal("t")
    assert made.open(value) is None
