"""Reporting under real faults: kills at every step, a full disk, two at once; packages that somebody changed; keys."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from models.domain.errors import YiwangError
from models.domain.settings import Settings, get_settings
from quality.reporting import ledger, service
from quality.reporting.service import Period
from serving.cli.report import app
from tests.support.reporting import publish, write_rules

JUNE = Period.parse("2026-06")
AT = datetime(2026, 7, 1, 1, tzinfo=UTC)
KEYS = SecretStr("a:" + "11" * 32 + ",b:" + "22" * 32)

BUILD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from models.domain.settings import Settings, get_settings
from quality.reporting import service
from tests.support.killing import arm
home, target, moment, call = Path(sys.argv[1]), *sys.argv[2:5]
if target:
    arm(target, moment, int(call))
service.build(Settings(home=home), "case", service.Period.parse("2026-06"), datetime(2026, 7, 1, 1, tzinfo=UTC), rules=home / "rules")
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a snapshot, rules and keys."""
    made = Settings(home=tmp_path_factory.mktemp("published") / "home")
    publish(made, write_rules(made.home / "rules"), changes=["UPDATE marts.fct_case SET region_code = NULL WHERE hash(case_number) % 5 = 0"])
    service.public_key(made)
    return made.home


@pytest.fixture(scope="module")
def undisturbed(published: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a build leaves that nobody killed."""
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    shutil.copytree(published, home)
    build(Settings(home=home))
    return tree(Settings(home=home))


@pytest.fixture
def settings(published: Path, tmp_path: Path) -> Settings:
    """A home of its own with the snapshot."""
    shutil.copytree(published, tmp_path / "home")
    return Settings(home=tmp_path / "home")


def build(settings: Settings, subject: str = "case") -> service.Package:
    return service.build(settings, subject, JUNE, AT, rules=settings.home / "rules")


def tree(settings: Settings) -> dict[str, bytes]:
    """Packages and lists as they are on disk."""
    root = settings.home / "reporting"
    return {str(path.relative_to(root)): path.read_bytes() for name in ("packages", "held") for path in (root / name).rglob("*") if path.is_file()}


def in_another_process(settings: Settings, target: str = "", moment: str = "before", call: int = 1) -> int:
    order = [sys.executable, "-c", BUILD, str(settings.home), target, moment, str(call)]
    return subprocess.run(order, check=False, capture_output=True).returncode


@pytest.mark.parametrize(("target", "moment", "call", "is_built"), [
    ("quality.reporting.building.write_held", "after", 1, False),
    pytest.param("quality.reporting.building.write_package", "after", 1, False, marks=pytest.mark.slow),
    pytest.param("quality.reporting.building.sign", "after", 1, False, marks=pytest.mark.slow),
    ("quality.reporting.ledger._make_durable", "after", 1, False),
    ("quality.reporting.ledger._put_into_place", "before", 1, True),
    pytest.param("os.rename", "after", 1, True, marks=pytest.mark.slow),
    ("os.rename", "before", 2, True),
    ("shutil.rmtree", "before", 1, True),
    pytest.param("shutil.rmtree", "after", 1, True, marks=pytest.mark.slow),
])  # fmt: skip
def test_a_kill_leaves_a_whole_package_or_none(
    settings: Settings, undisturbed: dict[str, bytes], target: str, moment: str, call: int, is_built: bool
) -> None:
    assert in_another_process(settings, target, moment, call) == -signal.SIGKILL
    there = service.packages(settings)  # whoever comes next puts things right
    assert len(there) == is_built and not list((settings.home / "reporting" / "building").iterdir())
    if is_built:
        with pytest.raises(YiwangError, match="此后没有变化"):
            build(settings)
    else:
        assert not tree(settings)
        assert build(settings).number == "case-000001"
    assert service.verify(settings, service.folder_of(settings, "case-000001")) is None
    assert tree(settings) == undisturbed  # byte for byte


@pytest.mark.slow
def test_kills_at_random_moments_report_nothing_twice_or_never(settings: Settings) -> None:
    chance, begun = random.Random(1), time.monotonic()
    assert in_another_process(Settings(home=settings.home), "quality.reporting.ledger.commit") == -signal.SIGKILL
    whole = time.monotonic() - begun
    sent: list[str] = []
    for run in range(25):
        share = chance.random()
        changes = [f"UPDATE marts.fct_case SET region_code = NULL WHERE hash(case_number, {share}) % 3 = 0", f"UPDATE marts.fct_case SET outcome_code = '{run}' WHERE hash(case_number) % 9 = 0"]
        publish(settings, settings.home / "rules", run=min(run, 4), changes=changes)
        with subprocess.Popen([sys.executable, "-c", BUILD, str(settings.home), "", "", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            time.sleep(whole * (0.3 + 0.9 * chance.random()))
            os.kill(child.pid, signal.SIGKILL)
    numbers = [package.number for package in service.packages(settings)]
    assert numbers == [f"case-{place:06d}" for place in range(1, len(numbers) + 1)]
    known: dict[str, str] = {}
    for number in numbers:
        folder = service.folder_of(settings, number)
        assert service.verify(settings, folder) is None
        for line in (folder / "case.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            action, key = record.pop("action"), record["case_number"]
            assert (key in known) == (action == "correct") and known.get(key) != json.dumps(record)
            known[key] = json.dumps(record)
            sent.append(key)
    assert 1 < len(numbers) < 25 and len(sent) > len(known)


FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop()),) * 2)\n"
"""As on a full disk, a write beyond so many bytes of a file fails."""


@pytest.mark.parametrize("size", [3_000, *(pytest.param(size, marks=pytest.mark.slow) for size in (300, 1_000))])
def test_a_full_disk_is_told_and_leaves_nothing(settings: Settings, size: int) -> None:
    service.packages(settings)  # the ledger is there
    script = "import sys\n" + FULL + BUILD
    done = subprocess.run([sys.executable, "-c", script, str(settings.home), "", "", "1", str(size)], check=False, capture_output=True, text=True)
    assert done.returncode == 1 and ("YW-RUN-007" in done.stderr or "OSError" in done.stderr), done.stderr
    assert service.packages(settings) == [] and not tree(settings) and not list((settings.home / "reporting" / "building").iterdir())
    assert build(settings).number == "case-000001"
    assert service.verify(settings, service.folder_of(settings, "case-000001")) is None


def test_two_at_once_do_not_mix(settings: Settings) -> None:
    with ledger.opened(settings):
        with pytest.raises(YiwangError) as caught:
            build(settings)
        assert caught.value.code == "YW-REPORT-010"
    assert build(settings).rows


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _link(path: Path) -> None:
    target = path.parent.parent / "elsewhere"
    path.rename(target)
    path.symlink_to(target)


@pytest.mark.parametrize(("name", "change", "sentence"), [
    ("case.jsonl", _append, "文件 case.jsonl 的内容与清单不符，被改动或损坏。"),
    ("case.jsonl", _flip, "文件 case.jsonl 的内容与清单不符，被改动或损坏。"),
    ("case-001.xlsx", _flip, "文件 case-001.xlsx 的内容与清单不符，被改动或损坏。"),
    ("case.jsonl", Path.unlink, "缺少文件 case.jsonl，包不完整。"),
    ("case.jsonl", _link, "case.jsonl 不是普通文件。"),
    ("manifest.json", _append, "清单的签名不对：清单被改动，或不是由该密钥签发。"),
    ("manifest.json", Path.unlink, "缺少 manifest.json，或它不是普通文件，包不完整。"),
    ("manifest.sig", Path.unlink, "缺少 manifest.sig，或它不是普通文件，包不完整。"),
    ("manifest.sig", _append, None),  # a blank says nothing else
    ("manifest.sig", lambda path: path.write_bytes(b"{}"), "manifest.sig 不是签名，包被改动或损坏。"),
    ("manifest.sig", lambda path: path.write_bytes(path.read_bytes().replace(b"ed25519", b"none")), "清单的签名不对：清单被改动，或不是由该密钥签发。"),
    ("more.txt", Path.touch, "多出清单没有的文件 more.txt。"),
    (".hidden", Path.mkdir, "多出清单没有的文件 .hidden。"),
])  # fmt: skip
def test_a_changed_package_is_told_in_one_sentence(settings: Settings, name: str, change: Callable[[Path], object], sentence: str | None) -> None:
    folder = service.folder_of(settings, build(settings).number)
    change(folder / name)
    assert service.verify(settings, folder) == sentence


@pytest.mark.parametrize("algorithm", ["ed25519", "ecdsa-p256", "provider"])
def test_every_algorithm_signs_and_old_keys_still_verify(settings: Settings, algorithm: str, tmp_path: Path) -> None:
    mine = settings.model_copy(update={"report_keys": KEYS, "audit_keys": KEYS, "report_signature": algorithm})
    folder = service.folder_of(mine, build(mine).number)
    rotated = SecretStr(",".join(reversed(KEYS.get_secret_value().split(","))))
    later = mine.model_copy(update={"report_keys": rotated, "audit_keys": rotated})
    assert service.verify(mine, folder) is None and service.verify(later, folder) is None
    another = "a:" + "33" * 32
    wrong = mine.model_copy(update={"report_keys": SecretStr(another), "audit_keys": SecretStr(another)})
    assert service.verify(wrong, folder) == "清单的签名不对：清单被改动，或不是由该密钥签发。"
    if algorithm == "provider":
        with pytest.raises(YiwangError, match="密码模块"):
            service.public_key(mine)
        return
    public = tmp_path / "public.pem"
    public.write_text(service.public_key(mine))
    assert service.verify(wrong, folder, public) is None  # the level above has nothing else
    public.write_text(service.public_key(wrong))
    assert service.verify(mine, folder, public) == "清单的签名不对：清单被改动，或不是由该密钥签发。"


def test_keys_come_from_elsewhere_than_the_package(settings: Settings, tmp_path: Path) -> None:
    folder = service.folder_of(settings, build(settings).number)
    own = folder / "public.pem"
    own.write_text(service.public_key(settings))
    text = tmp_path / "text.pem"
    text.write_text("no key")
    unknown = settings.model_copy(update={"report_keys": SecretStr("z:" + "33" * 32)})
    for who, key, part in ((settings, own, "不能取自被核验的上报包"), (settings, text, "不是 PEM"), (settings, tmp_path / "none.pem", "读不到"), (unknown, None, "没有签名所用的密钥")):
        with pytest.raises(YiwangError, match=part) as caught:
            service.verify(who, folder, key)
        assert caught.value.code == "YW-REPORT-009"
    with pytest.raises(YiwangError) as caught:
        service.verify(settings, tmp_path / "nowhere")
    assert caught.value.code == "YW-REPORT-006"


def test_secrets_of_reporting_are_refused_in_the_file_of_settings(tmp_path: Path) -> None:
    (tmp_path / "yiwang.toml").write_text(f'report_keys = "a:{"11" * 32}"\n')
    with pytest.raises(YiwangError, match="report_keys"):
        Settings(home=tmp_path)


def test_the_command_line_from_the_first_package_to_the_last(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YIWANG_HOME", raising=False)
    get_settings.cache_clear()
    home, rules = ["--home", str(settings.home)], ["--rules", str(settings.home / "rules")]
    run = CliRunner().invoke
    order = ["build", "--subject", "case", "--period", "2026-06", *rules, *home]
    built = run(app, order)
    assert built.exit_code == 0 and "case-000001：新增" in built.output and "未上报清单" in built.output
    again = run(app, order)
    assert again.exit_code == 2 and "YW-REPORT-003" in again.output
    folder = service.folder_of(settings, "case-000001")
    key = tmp_path / "public.pem"
    key.write_text(run(app, ["key", *home]).output)
    assert run(app, ["verify", str(folder), "--key", str(key)]).exit_code == 0
    keys = tmp_path / "keys.txt"
    keys.write_text(json.loads((folder / "case.jsonl").read_text(encoding="utf-8").splitlines()[0])["case_number"] + "\n", encoding="utf-8")
    assert "更正 1" in run(app, ["correct", "--subject", "case", "--keys", str(keys), *rules, *home]).output
    assert "撤回 1" in run(app, ["withdraw", "--subject", "case", "--keys", str(keys), *home]).output
    listed = run(app, ["list", *home]).output
    assert all(f"case-00000{place}" in listed for place in (1, 2, 3)) and "2026-06" in listed
    shown = run(app, ["show", "case-000001", *home])
    assert shown.exit_code == 0 and "＋未上报" in shown.output and "缺少行政区划" in shown.output
    misplaced = tmp_path / "in" / "case-000003"
    shutil.copytree(folder, misplaced)
    told = run(app, ["verify", str(misplaced), *home])
    assert told.exit_code == 1 and "目录名是 case-000003，里面却是 case-000001" in told.output
    told = run(app, ["verify", str(folder), *home]).output
    assert "办件，上报期 2026-06，2026-" in told and "数据截至 2026-" in told and "首包" in told and "注意：此后已建 case-000003" in told
    newest = run(app, ["verify", str(service.folder_of(settings, "case-000003")), *home]).output
    assert "办件，撤回，" in newest and "接 case-000002" in newest and "台账中办件的最新一包" in newest
    assert "没有台账可对照" in run(app, ["verify", str(folder), "--key", str(key), *home]).output
    misplaced.rename(misplaced.with_name("received"))
    assert run(app, ["verify", str(misplaced.with_name("received")), *home]).exit_code == 0
    held = run(app, ["held", "--subject", "case", "--period", "2026-05", "--out", str(tmp_path / "lists"), *rules, *home])
    assert held.exit_code == 0 and "缺少行政区划" in held.output and any((tmp_path / "lists").iterdir())
    assert run(app, ["resend", "case-000001", "--to", str(tmp_path / "out"), *home]).exit_code == 0
    assert (tmp_path / "out" / "case-000001" / "case.jsonl").read_bytes() == (folder / "case.jsonl").read_bytes()
    (folder / "case.jsonl").unlink()
    broken = run(app, ["verify", str(folder), *home])
    assert broken.exit_code == 1 and "✗ 缺少文件 case.jsonl" in broken.output
    assert run(app, ["verify", str(tmp_path / "nowhere"), *home]).exit_code == 2
    assert run(app, ["verify", str(folder), "--home", str(tmp_path / "empty")]).exit_code == 2  # no key there, and none is made
    assert not (tmp_path / "empty").exists()
    get_settings.cache_clear()
