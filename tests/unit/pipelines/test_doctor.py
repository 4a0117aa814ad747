"""Each check of the doctor finds the real fault, and nothing where there is none."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from models.domain.settings import Settings, get_settings
from models.store.snapshots import SnapshotStore
from pipelines.alerts.outbox import Outbox
from pipelines.catalogue.types import table_of
from pipelines.sources.service import finish_run, start_run
from pipelines.upkeep.doctor import machine
from pipelines.upkeep.doctor.service import CHECKS, IN_WAREHOUSE, examine
from pipelines.upkeep.doctor.types import Finding
from pipelines.upkeep.home import open_home
from serving.cli.main import app
from tests.support.snapshots import publish

NOW = datetime(2026, 7, 1, tzinfo=UTC)
KEY = SecretStr("a key for tests only")


def publish_sources(settings: Settings) -> None:
    """A published catalogue whose only source brings cases each working day, the last one on 30 June."""
    newest = datetime(2026, 6, 30, 4, tzinfo=UTC)
    row = {"source": "city", "subject": "case", "is_configured": True, "newest_at": newest, "habit": "daily", "freshness": "fresh", "freshness_reason": "按日到齐"}
    with duckdb.connect(str(settings.marts)) as connection:
        connection.register("_rows", table_of("catalogue_source", [row]))
        connection.execute("CREATE OR REPLACE TABLE marts.catalogue_source AS FROM _rows")
    SnapshotStore(settings).publish(settings.marts, "with-sources", newest)


@pytest.fixture(scope="module")
def _sound_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound home: prepared warehouse, a run that ended well, a published snapshot, one file source."""
    home = tmp_path_factory.mktemp("sound") / "home"
    settings = Settings(home=home, digest_key=KEY, threads=1)
    publish(settings)
    publish_sources(settings)
    (home / "cases.csv").write_text("case_number\n1\n")
    (home / "sources.yml").write_text("sources:\n  - {name: city, subject: case, location: cases.csv}\n")
    open_home(settings)
    finish_run(settings, start_run(settings), "published")
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute("UPDATE ops.run SET started_at = '2026-06-30 00:00:00+00'")
    return home


@pytest.fixture
def settings(_sound_home: Path, tmp_path: Path) -> Settings:
    """A copy of the sound home."""
    home = tmp_path / "home"
    shutil.copytree(_sound_home, home)
    return Settings(home=home, digest_key=KEY, threads=1)


def of(settings: Settings, check: str, now: datetime = NOW) -> Finding:
    """The check's first finding."""
    return examine(settings, now, checks=[check])[0]


def test_a_sound_home_has_no_errors(settings: Settings) -> None:
    findings = examine(settings, NOW)
    assert {finding.check for finding in findings} == set(CHECKS)
    assert [finding for finding in findings if finding.state != "ok"] == []


def test_an_empty_home_has_no_errors_but_what_it_lacks(tmp_path: Path) -> None:
    states = {finding.check: finding.state for finding in examine(Settings(home=tmp_path / "none", digest_key=KEY), NOW)}
    assert {check for check, state in states.items() if state == "error"} == {"sources"}
    assert {check for check, state in states.items() if state == "warn"} == {"home", "snapshot"}
    assert not (tmp_path / "none").exists(), "the doctor changes nothing"


def test_each_finding_is_a_sentence_and_each_fault_has_a_remedy(settings: Settings) -> None:
    settings.warehouse.write_bytes(b"no database")
    (settings.home / "cases.csv").unlink()
    for finding in examine(settings, NOW):
        assert finding.sentence
        assert finding.state == "ok" or finding.remedy or "请" in finding.sentence, finding


def test_python(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "sys", SimpleNamespace(version_info=(3, 9, 1)))
    assert of(settings, "python").state == "error"


def test_packages(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "requires", lambda _: ["duckdb>=99", "no-such-package>=1", "pytest>=1; extra == 'dev'", "pyyaml>=1"])
    found = of(settings, "packages")
    assert found.state == "error"
    assert "duckdb" in found.sentence and "no-such-package" in found.sentence and "pytest" not in found.sentence and "pyyaml" not in found.sentence


@pytest.mark.parametrize(("limit", "state"), [("1GB", "ok"), ("9000GB", "warn"), ("much", "error")])
def test_memory(settings: Settings, limit: str, state: str) -> None:
    assert of(settings.model_copy(update={"memory_limit": limit}), "memory").state == state


@pytest.mark.parametrize(("text", "size"), [("3GB", 3 * 10**9), ("512MiB", 512 << 20), ("1.5 gib", 3 << 29), ("100", 100), ("", None), ("1.2.3GB", None)])
def test_sizes_are_read_as_duckdb_does(text: str, size: int | None) -> None:
    assert machine.bytes_of(text) == size


def test_processors(settings: Settings) -> None:
    assert of(settings.model_copy(update={"threads": 4096}), "processors").state == "warn"


def test_disk(settings: Settings, tmp_path: Path) -> None:
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)], check=False, capture_output=True).returncode:
        pytest.skip("a small file system can be mounted by root only")
    try:
        assert of(Settings(home=tmp_path), "disk").state == "error"
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_home_that_cannot_be_written(settings: Settings) -> None:
    settings.snapshots.chmod(0o500)
    try:
        found = of(settings, "home")
    finally:
        settings.snapshots.chmod(0o700)
    assert found.state == "error" and "snapshots" in found.sentence


@pytest.mark.parametrize("name", ["work/warehouse.duckdb", "digest.key", "work"])
def test_private_files_that_others_can_read(settings: Settings, name: str) -> None:
    path = settings.home / name
    if not path.exists():
        path.write_text("00")
    path.chmod(0o755)
    found = of(settings, "private")
    assert found.state == "error" and f"chmod {'700' if path.is_dir() else '600'} {path}" in found.remedy


@pytest.mark.parametrize(
    "break_it",
    [
        lambda home: (home / "sources.yml").unlink(),
        lambda home: (home / "sources.yml").write_text("sources:\n  - {name: city, subject: nothing, location: x}\n"),
        lambda home: (home / "cases.csv").unlink(),
        lambda home: (home / "cases.csv").chmod(0),
    ],
    ids=["missing", "wrong", "no file", "closed file"],
)
def test_sources(settings: Settings, break_it: Callable[[Path], None]) -> None:
    break_it(settings.home)
    assert of(settings, "sources").state == "error"


HOLD = """
import fcntl, os, sys, time
file = open(sys.argv[1], "a+")
fcntl.flock(file, fcntl.LOCK_EX)
file.truncate(0); file.write(str(os.getpid())); file.flush()
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """Another process at work in the home."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(settings.home / "run.lock")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_run_at_work_is_named_and_its_warehouse_left_alone(settings: Settings, holder: subprocess.Popen[str]) -> None:
    found = of(settings, "lock")
    assert found.state == "ok" and str(holder.pid) in found.sentence
    settings.warehouse.write_bytes(b"half written")
    assert {finding.state for finding in examine(settings, NOW, checks=IN_WAREHOUSE)} == {"ok"}


def test_a_killed_holder_leaves_no_lock_but_a_run_to_go_on_with(settings: Settings, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert of(settings, "lock").state == "ok"
    start_run(settings)
    found = of(settings, "last_run")
    assert found.state == "warn" and "中断" in found.sentence


def test_a_lock_whose_holder_cannot_be_seen(settings: Settings) -> None:
    with (settings.home / "run.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("999999999")
        file.flush()
        found = of(settings, "lock")
    assert found.state == "warn" and "999999999" in found.sentence


def test_a_damaged_warehouse(settings: Settings) -> None:
    settings.warehouse.write_bytes(settings.warehouse.read_bytes()[:100])
    findings = {finding.check: finding for finding in examine(settings, NOW)}
    assert findings["warehouse"].state == "error" and "损坏" in findings["warehouse"].sentence
    assert findings["version"].state == "warn" and findings["snapshot"].state == "ok"


def flip(path: Path) -> None:
    """Damage that opening does not show: a block in the middle of the file is not what was written."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 262_144] = bytes(byte ^ 0xFF for byte in content[middle : middle + 262_144])
    path.write_bytes(content)


def with_filler(path: Path) -> Path:
    """The file with rows enough to have a middle."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS filler; CREATE TABLE filler.filler AS SELECT sha256(range::VARCHAR) AS s FROM range(50000)")
    return path


def test_damage_inside_a_file(settings: Settings) -> None:
    file = settings.snapshots / json.loads((settings.snapshots / "current.json").read_text())["file"]
    for path in (settings.warehouse, settings.marts, file):
        whole = path.read_bytes()
        flip(path if path == file else with_filler(path))
        (found,) = examine(settings, NOW, checks=["blocks"])
        assert found.state == "error" and str(path) in found.sentence and "删除" in found.remedy
        path.write_bytes(whole)
    settings.marts.write_bytes(settings.marts.read_bytes()[:50_000])
    assert of(settings, "blocks").state == "error", "truncated"


def test_large_files_are_read_through_on_demand(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.upkeep.doctor.state.READ_THROUGH", 1 << 20)
    flip(with_filler(settings.warehouse))
    assert "--deep" in of(settings, "blocks").sentence
    assert examine(settings, NOW, checks=["blocks"], deep=True)[0].state == "error"


def test_a_warehouse_of_a_newer_duckdb(settings: Settings) -> None:
    content = bytearray(settings.warehouse.read_bytes())
    content[12:20] = (9_999).to_bytes(8, "little")  # version number of the storage, behind checksum and magic bytes
    settings.warehouse.write_bytes(content)
    found = of(settings, "warehouse")
    assert found.state == "error", found


@pytest.mark.parametrize(("version", "state"), [("1", "warn"), ("9999", "error")])
def test_version(settings: Settings, version: str, state: str) -> None:
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute("UPDATE ops.home SET value = ? WHERE name = 'version'", [version])
    assert of(settings, "version").state == state


def test_digest_key(settings: Settings) -> None:
    assert of(settings.model_copy(update={"digest_key": None}), "digest_key").state == "error", "neither setting nor file"
    (settings.home / "digest.key").write_text("00" * 32)
    (settings.home / "digest.key").chmod(0o600)
    other = of(settings.model_copy(update={"digest_key": None}), "digest_key")
    assert other.state == "error" and "YIWANG_DIGEST_KEY" in other.sentence
    (settings.home / "digest.key").write_text(KEY.get_secret_value().encode().hex())
    assert of(settings.model_copy(update={"digest_key": None}), "digest_key").state == "warn", "the same key, but a file"


def test_last_run_failed(settings: Settings) -> None:
    finish_run(settings, start_run(settings), "failed", "磁盘空间不足")
    found = of(settings, "last_run")
    assert found.state == "error" and "磁盘空间不足" in found.sentence


@pytest.mark.filterwarnings("ignore:sqlglotrs is deprecated:DeprecationWarning")  # a dependency of dlt imports it
def test_a_sync_that_failed_is_not_taken_for_one_that_was_killed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YIWANG_HOME", str(settings.home))
    monkeypatch.setenv("YIWANG_DIGEST_KEY", KEY.get_secret_value())
    (settings.home / "cases.csv").write_text("no_such_column\n1\n")
    done = CliRunner().invoke(app, ["sync", "--home", str(settings.home)])
    get_settings.cache_clear()
    assert done.exit_code == 2 and "YW-SYNC-003" in done.output
    found = of(settings, "last_run")
    assert found.state == "error" and "case_number" in found.sentence


def test_clock_behind(settings: Settings) -> None:
    assert of(settings, "clock", datetime(2020, 1, 1, tzinfo=UTC)).state == "warn"


def test_leftovers(settings: Settings) -> None:
    (settings.work / "dlt" / "city__case").mkdir(parents=True)
    (settings.work / "duckdb_tmp" / "spilled.block").write_bytes(b"0" * 100)
    found = of(settings, "leftovers")
    assert found.state == "warn" and "装载包 1 个、临时文件 1 个" in found.sentence


def test_a_truncated_snapshot(settings: Settings) -> None:
    file = settings.snapshots / json.loads((settings.snapshots / "current.json").read_text())["file"]
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert of(settings, "snapshot").state == "error"


def test_a_broken_pointer(settings: Settings) -> None:
    (settings.snapshots / "current.json").write_text("{")
    assert of(settings, "snapshot").state == "error"


@pytest.mark.parametrize(("now", "state"), [(NOW, "ok"), (datetime(2026, 11, 25, tzinfo=UTC), "warn")])
def test_sources_that_all_stopped(settings: Settings, now: datetime, state: str) -> None:
    found = of(settings, "freshness", now)
    assert found.state == state and ("147 天" in found.sentence) is (state == "warn")
    limited = settings.model_copy(update={"fresh_within_hours": 24 * 365})
    assert of(limited, "freshness", now).state == "ok", "a stated limit counts alone"


def test_freshness_of_an_older_snapshot(settings: Settings) -> None:
    with duckdb.connect(str(settings.marts)) as connection:
        connection.execute("DROP TABLE IF EXISTS marts.catalogue_source")
    SnapshotStore(settings).publish(settings.marts, "older", NOW)
    found = of(settings, "freshness")
    assert found.state == "warn" and "Error" not in found.sentence and "yiwang run" in found.remedy


@pytest.mark.parametrize(("today", "state"), [(date(2026, 7, 1), "ok"), (date(2026, 12, 1), "warn"), (date(2031, 1, 1), "error")])
def test_calendar(settings: Settings, today: date, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.upkeep.doctor.state.work_calendar", lambda: SimpleNamespace(published_until=date(2026, 12, 31)))
    assert of(settings, "calendar", datetime(today.year, today.month, today.day, tzinfo=UTC)).state == state


def test_alerts(settings: Settings) -> None:
    told = settings.model_copy(update={"alert_webhook": SecretStr("http://127.0.0.1:9/"), "alert_secret": SecretStr("a secret for tests only")})
    assert of(told, "alerts").state == "ok"
    assert of(told.model_copy(update={"alert_secret": None}), "alerts").state == "warn"
    Outbox(settings).put("id", {})
    found = of(told, "alerts")
    assert found.state == "warn" and "1 条" in found.sentence


def test_a_check_that_breaks_is_a_finding(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHECKS, "disk", lambda look: iter([1 / 0]))  # type: ignore[arg-type,list-item]
    found = of(settings, "disk")
    assert found.state == "error" and "ZeroDivisionError" in found.sentence


def test_a_snapshot_that_speaks_of_the_future(settings: Settings) -> None:
    found = of(settings, "snapshot", datetime(2026, 6, 28, tzinfo=UTC))
    assert found.state == "warn" and "2026-06-30" in found.sentence
    assert of(settings, "snapshot", datetime(2026, 6, 29, 12, tzinfo=UTC)).state == "ok", "within a day"


def test_a_lock_that_is_a_folder(settings: Settings) -> None:
    (settings.home / "run.lock").unlink(missing_ok=True)
    (settings.home / "run.lock").mkdir()
    findings = {finding.check: finding for finding in examine(settings, NOW)}
    assert set(findings) == set(CHECKS), "the others go on"
    assert {check for check, finding in findings.items() if finding.state == "error"} == {"lock"}
    assert "run.lock" in findings["lock"].sentence and findings["lock"].remedy


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    findings = {finding.check: finding for finding in examine(Settings(home=tmp_path / "home", digest_key=KEY), NOW)}
    assert set(findings) == set(CHECKS)
    assert "是一个文件" in findings["home"].sentence and findings["home"].state == "error"


@pytest.mark.parametrize(("names", "state"), [([], "ok"), (["database_url"], "warn"), (["database_url", "keys"], "warn"), (["database_url", "keys", "audit_keys"], "ok")])
def test_keys_of_a_shared_store(settings: Settings, names: list[str], state: str) -> None:
    assert of(settings.model_copy(update=dict.fromkeys(names, SecretStr("k"))), "store_keys").state == state
