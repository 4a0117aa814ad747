"""A reporting ledger that was damaged, lost or put back older is refused with what to do, and nothing is reported twice."""

import os
import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from quality.reporting import service
from quality.reporting.service import Period
from tests.support.reporting import publish, write_rules

JUNE, MAY, APRIL = Period.parse("2026-06"), Period.parse("2026-05"), Period.parse("2026-04")
AT = datetime(2026, 7, 1, 1, tzinfo=UTC)
LOST = "上报文件 .*ledger.duckdb 不可用：台账.*请从备份恢复后重试"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two packages of cases, one of matters, and the ledger as it was after the first."""
    made = Settings(home=tmp_path_factory.mktemp("built") / "home")
    publish(made, write_rules(made.home / "rules"), changes=["UPDATE marts.fct_case SET region_code = NULL WHERE hash(case_number) % 5 = 0"])
    build(made, MAY)
    shutil.copyfile(made.home / "reporting" / "ledger.duckdb", made.home / "older.duckdb")
    build(made, JUNE)
    service.build(made, "matter", JUNE, AT, rules=made.home / "rules")
    return made.home


@pytest.fixture
def settings(built: Path, tmp_path: Path) -> Settings:
    """A home of its own with the packages."""
    shutil.copytree(built, tmp_path / "home")
    return Settings(home=tmp_path / "home")


def build(settings: Settings, period: Period) -> service.Package:
    return service.build(settings, "case", period, AT, rules=settings.home / "rules")


def refused(settings: Settings, because: str) -> None:
    """Every order is refused with one sentence, and nothing is built, moved or removed."""
    reporting = settings.home / "reporting"
    before = sorted(str(path) for folder in ("packages", "held") for path in (reporting / folder).rglob("*"))
    for order in (lambda: build(settings, MAY), lambda: build(settings, APRIL), lambda: service.packages(settings)):
        with pytest.raises(YiwangError, match=LOST) as caught:
            order()
        assert caught.value.code == "YW-REPORT-007" and because in str(caught.value), str(caught.value)
    assert sorted(str(path) for folder in ("packages", "held") for path in (reporting / folder).rglob("*")) == before
    assert not list((reporting / "building").iterdir())


@pytest.mark.parametrize(("damage", "because"), [
    ("DROP TABLE reported", "缺少表 reported"),
    ("DROP TABLE package", "缺少表 package"),
    ("DROP TABLE reconciliation", "缺少表 reconciliation"),
    ("DROP TABLE reported; DROP TABLE package; DROP TABLE reconciliation", "缺少表 package"),
    ("ALTER TABLE reported DROP digest", "表 reported 缺少列 digest"),
    ("ALTER TABLE package ALTER as_of TYPE VARCHAR", "表 package 缺少列 as_of，或它的类型变了"),
    ("DELETE FROM reported", "上报包 case-000002 的记录不全"),
    ("DELETE FROM reported WHERE package = 'matter-000001'", "上报包 matter-000001 的记录不全"),
    ("DELETE FROM reported WHERE package = 'case-000001' AND hash(record_key) % 9 = 0", "截至上报包 case-000002 的记录不全"),
    ("INSERT INTO reported FROM reported", "的记录不全"),
    ("DELETE FROM package WHERE number = 'case-000002'", "比上报包旧，没有已建的 case-000002"),
    ("DELETE FROM package", "比上报包旧，没有已建的 case-000001、case-000002、matter-000001"),
    ("DELETE FROM reconciliation", "少了上报包 case-000001 的对账"),
])  # fmt: skip
def test_a_ledger_that_lost_something_is_refused(settings: Settings, damage: str, because: str) -> None:
    with duckdb.connect(str(settings.home / "reporting" / "ledger.duckdb")) as ledger:
        ledger.execute(damage)
    refused(settings, because)


@pytest.mark.parametrize("damage", ["DELETE FROM package WHERE number = 'case-000001'", "DELETE FROM package WHERE number = 'case-000002'"])
def test_a_lost_package_is_missed_also_where_its_folder_was_moved_away(settings: Settings, damage: str) -> None:
    for folder in ("packages", "held"):
        shutil.rmtree(settings.home / "reporting" / folder)
    assert len(service.packages(settings)) == 3  # packages may be kept elsewhere
    with duckdb.connect(str(settings.home / "reporting" / "ledger.duckdb")) as ledger:
        ledger.execute(damage)
    with pytest.raises(YiwangError, match="少了上报包 case-00000") as caught:
        build(settings, APRIL)
    assert caught.value.code == "YW-REPORT-007"


def test_an_older_ledger_beside_newer_packages_is_refused_beforehand(settings: Settings) -> None:
    ledger = settings.home / "reporting" / "ledger.duckdb"
    newest = ledger.read_bytes()
    shutil.copyfile(settings.home / "older.duckdb", ledger)
    refused(settings, "没有已建的 case-000002、matter-000001，继续会重复上报，须把 reporting 目录整个换成最近一次的备份，不能只换台账")
    ledger.write_bytes(newest)
    assert build(settings, APRIL).number == "case-000003"


@pytest.mark.parametrize("spoil", [
    Path.unlink,
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"no database"),
    lambda path: os.truncate(path, path.stat().st_size // 2),
])  # fmt: skip
def test_a_lost_or_cut_ledger_is_refused(settings: Settings, spoil: Callable[[Path], object]) -> None:
    spoil(settings.home / "reporting" / "ledger.duckdb")
    refused(settings, "台账")


def test_random_bytes_anywhere_are_refused_or_change_nothing(settings: Settings) -> None:
    ledger, chance = settings.home / "reporting" / "ledger.duckdb", random.Random(5)
    whole, known, told = ledger.read_bytes(), service.packages(settings), 0
    for start in [0, 4096, 8192, 12288, *(chance.randrange(len(whole) - 64) for _ in range(30))]:
        ledger.write_bytes(whole[:start] + chance.randbytes(64) + whole[start + 64 :])
        try:
            assert service.packages(settings) == known
        except YiwangError as error:
            assert error.code == "YW-REPORT-007", error
            told += 1
    assert told > 5
    ledger.write_bytes(whole)
    assert build(settings, APRIL).number == "case-000003"


def test_a_kill_before_the_tables_of_a_new_ledger_leaves_nothing_to_mend(settings: Settings, tmp_path: Path) -> None:
    made = Settings(home=tmp_path / "new")
    (made.home / "reporting").mkdir(parents=True)
    with duckdb.connect(str(made.home / "reporting" / "ledger.duckdb")):
        pass
    assert service.packages(made) == []


def test_a_package_that_the_ledger_does_not_have_so_is_told_and_an_old_one_too(settings: Settings, tmp_path: Path) -> None:
    first, second = (service.folder_of(settings, number) for number in ("case-000001", "case-000002"))
    old, new = service.read_manifest(first), service.read_manifest(second)
    assert [package.number for package in service.later(settings, old) or ()] == ["case-000002"] and service.later(settings, new) == []
    key, foreign = tmp_path / "public.pem", Settings(home=tmp_path / "foreign")
    key.write_text(service.public_key(settings))
    publish(foreign, settings.home / "rules")
    shutil.copyfile(settings.home / "report.key", foreign.home / "report.key")
    strange = service.folder_of(foreign, service.build(foreign, "case", MAY, AT, rules=settings.home / "rules").number)
    assert service.verify(foreign, strange) is None
    assert service.verify(settings, strange) == "签名正确，但不是台账所记的 case-000001：由另一个数据目录建成，或被顶替。"
    assert service.verify(settings, strange, key) is None  # the level above has packages of many
    assert service.verify(foreign, second) == "签名正确，但不是台账所记的 case-000002：由另一个数据目录建成，或被顶替。"
    (settings.home / "reporting" / "ledger.duckdb").write_bytes(b"no database")  # packages can be verified all the same
    assert service.verify(settings, first) is None and service.later(settings, old) is None
    shutil.rmtree(settings.home / "reporting")
    assert service.verify(settings, strange) is None and not (settings.home / "reporting").exists()
