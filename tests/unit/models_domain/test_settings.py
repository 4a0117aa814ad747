"""Settings: precedence, secrets, one-sentence errors."""

from pathlib import Path

import pytest

from models.domain.errors import YiwangError
from models.domain.settings import get_settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("YIWANG_HOME", str(tmp_path))
    get_settings.cache_clear()
    return tmp_path


def test_environment_wins_over_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "yiwang.toml").write_text("port = 9000\nkeep_snapshots = 5\n", encoding="utf-8")
    monkeypatch.setenv("YIWANG_PORT", "9001")
    assert (get_settings().port, get_settings().keep_snapshots) == (9001, 5)


@pytest.mark.parametrize("line", ['digest_key = "0123456789abcdef"', "prot = 1", "port = ", "port = 0"])
def test_a_wrong_file_is_refused(home: Path, line: str) -> None:
    (home / "yiwang.toml").write_text(line, encoding="utf-8")
    with pytest.raises(YiwangError) as raised:
        get_settings()
    assert raised.value.code == "YW-CONFIG-001"


def test_a_short_key_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIWANG_DIGEST_KEY", "short")
    with pytest.raises(YiwangError, match="YIWANG_DIGEST_KEY") as raised:
        get_settings()
    assert "short" not in raised.value.message


@pytest.mark.parametrize("zone", ["Mars/Base", "", "Asia", "../etc/passwd", "/etc/localtime"])
def test_a_zone_that_does_not_exist_is_refused(home: Path, zone: str) -> None:
    (home / "yiwang.toml").write_text(f'zone = "{zone}"\n', encoding="utf-8")
    with pytest.raises(YiwangError, match="时区") as raised:
        get_settings()
    assert raised.value.code == "YW-CONFIG-001" and "YIWANG_ZONE" not in raised.value.message


def test_a_wrong_value_is_told_where_it_stands(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "yiwang.toml").write_text("threads = 0\n", encoding="utf-8")
    with pytest.raises(YiwangError) as raised:
        get_settings()
    assert f"{home / 'yiwang.toml'} 中的 threads" in raised.value.message
    monkeypatch.setenv("YIWANG_THREADS", "none")
    with pytest.raises(YiwangError, match="YIWANG_THREADS") as raised:
        get_settings()
    assert "toml" not in raised.value.message
