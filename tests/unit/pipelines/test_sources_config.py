"""sources.yml: what is accepted, and how faults are named."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.domain.errors import YiwangError
from pipelines.sources.service import load_sources

ONE = "sources:\n- {name: city, subject: case, location: case.csv%s}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "sources.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults(tmp_path: Path) -> None:
    file = load_sources(write(tmp_path, ONE % ""))
    (source,) = file.sources
    assert (source.kind, source.keys, source.zone, source.cursor, file.as_of) == ("file", ["case_number"], "Asia/Shanghai", None, None)
    assert file.folder == tmp_path.resolve()


def test_scalars_stay_text(tmp_path: Path) -> None:
    (source,) = load_sources(write(tmp_path, ONE % ", fields: {channel_code: {column: way, codes: {01: 02, no: 9}}, case_number: 编号}")).sources
    assert source.fields["channel_code"].codes == {"01": "02", "no": "9"}
    assert source.fields["case_number"].column == "编号"


@pytest.mark.parametrize(
    ("as_of", "instant"),
    [
        ("2026-06-30", datetime(2026, 6, 30, 15, 59, 59, 999999, tzinfo=UTC)),
        ("2026-06-30T18:00:00", datetime(2026, 6, 30, 10, tzinfo=UTC)),
        ("2026-06-30 18:00:00+02:00", datetime(2026, 6, 30, 16, tzinfo=UTC)),
        ("", None),
    ],
)
def test_as_of_is_the_end_of_a_day_or_an_instant(tmp_path: Path, as_of: str, instant: datetime | None) -> None:
    file = load_sources(write(tmp_path, f"as_of: {as_of}\n" + ONE % ""))
    assert file.as_of_instant("Asia/Shanghai") == instant


def test_a_variable_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, ONE.replace("case.csv", "'${YIWANG_TEST_DIR}/case.csv'") % "")
    monkeypatch.delenv("YIWANG_TEST_DIR", raising=False)
    with pytest.raises(YiwangError) as caught:
        load_sources(path)
    assert caught.value.code == "YW-SYNC-001" and "YIWANG_TEST_DIR" in caught.value.message
    monkeypatch.setenv("YIWANG_TEST_DIR", "/somewhere")
    assert load_sources(path).sources[0].location == "/somewhere/case.csv"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ONE % ", fields: {nothing: x}", ["city", "nothing"]),
        (ONE % ", fields: {case_number: {pad: 2}}", ["city", "case_number", "column"]),
        (ONE % ", fields: {case_number: {column: a, constant: b}}", ["case_number", "column"]),
        (ONE % ", fields: {case_number: {column: a, colour: b}}", ["fields.case_number.colour", "没有这个设置"]),
        (ONE % ", fields: {received_at: {column: a, formats: ['%Q']}}", ["received_at", "%Q"]),
        (ONE % ", key: case_number", ["city", "key", "列表"]),
        (ONE % ", key: [applicant_id]", ["applicant_id"]),
        (ONE % ", cursor: nothing", ["nothing"]),
        (ONE % ", zone: Moon/Crater", ["Moon/Crater"]),
        (ONE % ", look_back: long", ["look_back"]),
        (ONE % ", format: docx", ["format"]),
        (ONE % ", satisfaction_direction: up", ["satisfaction_direction"]),
        (ONE.replace("city", "City") % "", ["City", "name"]),
        (ONE.replace("subject: case", "subject: dog") % "", ["dog", "case_event"]),
        (ONE.replace("location: case.csv", "place: x") % "", ["city"]),
        (ONE % "" + "- {name: city, subject: case, location: b.csv}\n", ["city/case"]),
        (ONE % ", zone: UTC, zone: UTC", ["第 2 行", "重复"]),
        (ONE % ", fields: {channel_code: {column: a, pad: 99}}", ["channel_code.pad"]),
        ("sources: []", ["sources", "至少要有一个来源"]),
        ("sources: [", ["第 1 行", "YAML"]),
        ("just text", ["sources"]),
        ("as_of: soon\n" + ONE % "", ["soon"]),
        ("as_off: 2026-06-30\n" + ONE % "", ["as_off"]),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, said: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(YiwangError) as caught:
        load_sources(path)
    assert caught.value.code == "YW-SYNC-001"
    assert all(word in caught.value.message for word in [str(path), *said]), caught.value.message
    assert "Input" not in caught.value.message and "should" not in caught.value.message


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(YiwangError) as caught:
        load_sources(tmp_path / "none.yml")
    assert caught.value.code == "YW-SYNC-005"


@pytest.mark.parametrize("example", ["permits", "matters"])
def test_examples(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"YIWANG_{example.upper()}_DIR", "folder")
    assert load_sources(Path(__file__).parents[3] / "examples" / f"{example}.sources.yml").sources
