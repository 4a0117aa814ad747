"""Rows that are set aside: what is published of them names nobody, whatever stands in whichever column."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain.contracts import SUBJECTS, Personal
from models.domain.identifiers import resident_id_check, set_digest_key
from models.domain.schema import sql_columns
from pipelines.sources import masking
from pipelines.sources.config import Source
from pipelines.sources.mapping import select
from pipelines.sources.store import literal
from tests.support.examples import examples

RULES = Path(__file__).parents[3] / "quality" / "rules"


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        set_digest_key(connection, b"key")
        connection.execute("SET TimeZone = 'Asia/Shanghai'")
        yield connection


def set_aside(connection: duckdb.DuckDBPyConnection, subject: str, row: Mapping[str, str | None], **settings: Any) -> tuple[str | None, str, str]:
    """Key, reason and masked row of a row that must be bad."""
    source = Source.model_validate({"name": "city", "subject": subject, "location": "x.csv"} | settings)
    available = dict.fromkeys(row, "VARCHAR")
    bad = pa.table({column: pa.array([value], pa.string()) for column, value in row.items()} | {"_file_id": [1], "_file_row": [1]})
    connection.register("bad", bad)
    query = f"SELECT _reason_code, _record_key, _reason, _raw_masked FROM ({select(source, available, 'bad')})"  # noqa: S608
    ((code, key, reason, masked),) = connection.execute(query).fetchall()
    assert code is not None
    return key, reason, masked


def _resident(region: int, born: date, number: int) -> str:
    first = f"{region}{born:%Y%m%d}{number:03}"
    return first + resident_id_check(first)


chinese = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=2)
names = st.builds(lambda family, given: family + given, st.sampled_from("张王李欧阳诸葛"), chinese.map(lambda t: t[:3])).filter(lambda t: len(t) > 1)
phones = st.builds(lambda a, b: f"1{a}{b:09}", st.integers(3, 9), st.integers(0, 999_999_999))
residents = st.builds(
    _resident, st.integers(110101, 659001), st.integers(0, 28_000).map(lambda d: date(1949, 1, 1) + timedelta(days=d)), st.integers(0, 999)
)
addresses = st.builds("{}路{}号{}栋{}".format, chinese, st.integers(1, 999), st.integers(1, 99), st.integers(101, 3502))
sentences = st.builds("申请人{}患有糖尿病".format, names)
people = st.one_of(names, phones, residents, addresses, sentences)
around = st.sampled_from(["{}", " {}", "{} ", "电话{}", "{}（本人）", "a {} b", "{0} {0}"])


def quarantine_pattern() -> re.Pattern[str]:
    """What the check of the published quarantine looks for."""
    rules = yaml.safe_load((RULES / "personal.yml").read_text(encoding="utf-8"))
    rules = rules["rules"] if isinstance(rules, dict) else rules
    (failing,) = (rule["failing"] for rule in rules if rule["id"] == "quarantine_masked")
    (pattern,) = re.findall(r"'(\(\^.*\))'\)", failing, re.S)
    return re.compile(pattern)


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data(), subject=st.sampled_from(sorted(SUBJECTS)))
def test_nobody_is_named_whatever_slipped_into_whichever_column(database: duckdb.DuckDBPyConnection, data: st.DataObject, subject: str) -> None:
    fields = list(sql_columns(SUBJECTS[subject]))
    somebody = data.draw(st.lists(people, min_size=len(fields), max_size=len(fields)))
    row = {field: data.draw(around).format(value) for field, value in zip(fields, somebody, strict=True)}
    key, reason, masked = set_aside(database, subject, row)
    for published in (key or "", reason, masked):
        assert not [value for value in somebody if value in published]
        assert "糖尿病" not in published
        assert not quarantine_pattern().search(published)


def test_the_row_that_stopped_a_publication(database: duckdb.DuckDBPyConnection) -> None:
    row = {
        "case_number": "BJ2026000001", "matter_name": "19912345678", "address": "长沙市金星路10号9栋1602", "result_description": "申请人欧阳秘密患有糖尿病",
        "received_at": "2026-02-30", "accepted_at": "张三", "contact_phone": "金星路10号9栋1602", "department_code": "11430199MB1234567X",
        "matter_code": "11430199MB1234567X4000123456001", "channel_code": "1", "source_promised_due_on": "2025年13月", "postcode": "410000",
    }  # fmt: skip
    key, reason, masked = set_aside(database, "case", row)
    assert key == "BJ2026000001"
    assert "（received_at）的值“2026-02-30”不是日期时间" in reason and "“张***”不是日期时间" in reason and "“2025年13月”不是日期" in reason
    assert yaml.safe_load(masked) == {
        "case_number": "BJ2026000001", "matter_name": "***", "address": "***", "result_description": "***",
        "received_at": "2026-02-30", "accepted_at": "张***", "contact_phone": "金***", "department_code": "11430199MB1234567X",
        "matter_code": "11430199MB1234567X4000123456001", "channel_code": "1", "source_promised_due_on": "2025年13月", "postcode": "410000",
    }  # fmt: skip
    assert not quarantine_pattern().search(masked)


def test_a_column_of_several_fields_is_masked_as_the_most_private(database: duckdb.DuckDBPyConnection) -> None:
    fields = {"matter_name": "a", "contact_phone": "a", "address": "a", "case_number": "no"}
    _, _, masked = set_aside(database, "case", {"no": None, "a": "19912345678", "other": "张三"}, fields=fields)
    assert yaml.safe_load(masked) == {"no": None, "a": "***"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("BJ-2026/000123", "BJ-2026/000123"), ("430199202603020001", "430199202603020001"), ("4301992026030200012345", "4301992026030200012345"),
        ("张三丰", "张***"), ("430199195001011231", "***"), ("199-1234-5678", "***"), ("C-19912345678-13812345678-19912345678", "C-***-***-***"), (None, None),
    ],
)  # fmt: skip
def test_keys_stay_readable_unless_they_are_somebodys(database: duckdb.DuckDBPyConnection, text: str | None, said: str | None) -> None:
    assert database.execute(f"SELECT {masking.masked_key(literal(text) + '::VARCHAR')}").fetchone() == (said,)


@pytest.mark.parametrize("text", ["2026-03-02 09:00:00.123456", "2026-03-02T09:00:00Z", "2026-03-02 01:00:00+00", "2026年3月2日 9时00分", "20261302", "20261302090000", "12", "2026/13/1"])
def test_days_and_small_numbers_stay(database: duckdb.DuckDBPyConnection, text: str) -> None:
    assert database.execute(f"SELECT {masking.masked_typed(literal(text))}").fetchone() == (text,)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (Personal.NAME, "张三丰", "张*丰"), (Personal.PHONE, "19912345678", "199****5678"), (Personal.PHONE, "430199195001011231", "430" + "*" * 13 + "31"),
        (Personal.TEXT, "x", "***"), (Personal.IDENTIFIER, "43019919500101123X", "430" + "*" * 13 + "3X"),
    ],
)  # fmt: skip
def test_personal_fields_keep_their_masks(database: duckdb.DuckDBPyConnection, kind: Personal, text: str, said: str) -> None:
    assert database.execute(f"SELECT {masking.masked_personal(literal(text), kind)}").fetchone() == (said,)
