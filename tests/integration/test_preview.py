"""A dry run shows what a sync would load, and changes nothing."""

from pathlib import Path

import pytest

from models.domain.errors import YiwangError
from pipelines.sources.service import load_sources, preview
from tests.support.sync import SyncHome

HEADER = ["BJBH", "SJSJ", "SQRXM", "SQRZJLX", "SQRZJHM", "DZ", "多余"]
FIELDS = {
    "case_number": "BJBH", "received_at": "SJSJ", "applicant_name": "SQRXM", "applicant_id_type_code": "SQRZJLX",
    "applicant_id": "SQRZJHM", "address": "DZ",
}  # fmt: skip


@pytest.fixture()
def home(tmp_path: Path) -> SyncHome:
    home = SyncHome.make(tmp_path)
    good = [[f"C{i}", "2026-03-02 09:00", "张三丰", "111", "11010519491231002X", "岳麓区某路 1 号", "x"] for i in range(30)]
    home.csv("case.csv", HEADER, [["C-bad", "2026年13月", "李四", "", "", "", ""], *good])
    home.configure({"subject": "case", "location": "case.csv", "fields": FIELDS})
    return home


def test_the_first_rows_are_shown_mapped_and_masked(home: SyncHome) -> None:
    file = load_sources(home.yml)
    found = preview(home.settings, file, file.sources[0], limit=10)
    assert len(found.rows) == 9 and len(found.set_aside) == 1
    assert found.fields == ["case_number", "applicant_name", "applicant_id_type_code", "applicant_id", "address", "received_at"]
    first = found.rows[0]
    assert first["case_number"] == "C0" and first["received_at"].startswith("2026-03-02 09:00:00+08")
    assert first["applicant_name"] == "张*丰" and first["address"] == "***"
    assert "19491231" not in first["applicant_id"]
    assert "received_at" in found.set_aside[0]["reason"] and found.set_aside[0]["key"] == "C-bad"
    assert "李四" not in str(found.set_aside)
    assert found.unmapped == ["多余"]


def test_nothing_is_written(home: SyncHome) -> None:
    before = {path: path.stat().st_mtime_ns for path in home.folder.rglob("*") if path.is_file()}
    file = load_sources(home.yml)
    preview(home.settings, file, file.sources[0])
    assert {path: path.stat().st_mtime_ns for path in home.folder.rglob("*") if path.is_file()} == before
    assert home.one().inserted == 30


def test_what_stops_the_sync_stops_the_dry_run(home: SyncHome) -> None:
    home.configure({"subject": "case", "location": "case.csv", "fields": FIELDS | {"matter_code": "SXBM"}})
    file = load_sources(home.yml)
    with pytest.raises(YiwangError, match="SXBM") as caught:
        preview(home.settings, file, file.sources[0])
    assert caught.value.code == "YW-SYNC-003"
