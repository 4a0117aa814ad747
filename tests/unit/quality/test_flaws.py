"""Flaws of names, telephones and certificate identifiers, as the macros of dbt judge them before masking."""

import re
from pathlib import Path

import duckdb
import pytest
from jinja2 import Environment

from models.domain.identifiers import certificate_id_check

MACROS = Environment().from_string((Path(__file__).parents[3] / "dbt" / "macros" / "engine" / "flaws.sql").read_text(encoding="utf-8")).module  # noqa: S701 - SQL


def judged(macro: str, value: str | None, *further: str) -> object:
    expression = getattr(MACROS, macro)("v", *further)
    return duckdb.execute(f"SELECT {expression} FROM (SELECT $1::VARCHAR AS v)", [value]).fetchall()[0][0]


@pytest.mark.parametrize(
    ("name", "flaw"),
    [
        ("欧阳娜娜", None), ("买买提·吐尔逊", None), ("JOHN SMITH", None), ("徐涓", None), (None, None), ("涓鸣", None),
        (" 梁平", "spaces"), ("梁　平", "spaces"), ("梁平 ", "spaces"), ("XXX", "placeholder"), ("测试1", "placeholder"), ("无", "placeholder"),
        ("430104199001011234", "characters"), ("王五test", "placeholder"), ("王五abc", "characters"), ("王", "short"), ("ä¸\u00adå\u009b½", "garbled"), ("王�明", "garbled"),
    ],
)  # fmt: skip
def test_a_name(name: str | None, flaw: str | None) -> None:
    assert judged("name_flaw", name, "'111'") == flaw


@pytest.mark.parametrize("name", ["王小明", "欧阳娜娜", "丁晓东", "样例市云帆便利店"])
def test_utf_8_read_as_gbk_is_garbled(name: str) -> None:
    assert judged("name_flaw", name.encode().decode("gbk", "replace"), "'111'") == "garbled"


def test_the_name_of_an_enterprise_may_hold_digits() -> None:
    assert judged("name_flaw", "长沙123便利店", "'990'") is None and judged("name_flaw", "长沙123便利店", "'111'") == "characters"


def test_the_classes_of_garbled_pairs_are_those_of_the_codec() -> None:
    def decoded(leads: range, trails: range) -> set[str]:
        return {pair.decode("gbk", "ignore") for lead in leads for trail in trails if (pair := bytes([lead, trail])).decode("gbk", "ignore")}

    first, second = re.fullmatch(r"\[(.*)\]\[(.*)\]", str(MACROS.garbled_pair()).strip()).groups()  # type: ignore[attr-defined, union-attr]
    three_byte_leads, continuations = range(0xE4, 0xEA), range(0x80, 0xC0)
    for pattern, expected in ((first, decoded(three_byte_leads, continuations)), (second, decoded(continuations, three_byte_leads))):
        expected = {text for text in expected if len(text) == 1}
        assert {chr(code) for code in range(0x10000) if re.fullmatch(f"[{pattern}]", chr(code))} == expected


@pytest.mark.parametrize(
    ("phone", "flaw"),
    [
        ("13812345678", None), ("+86 138-1234-5678", None), ("0731-88880007", None), ("12345", None), ("400-800-1234", None), (None, "missing"),
        ("1381234567", "length"), ("138123456789012", "length"), ("２３812345678", "characters"), ("1381234567O", "characters"), ("23812345678", "form"),
    ],
)  # fmt: skip
def test_a_telephone(phone: str | None, flaw: str | None) -> None:
    assert judged("phone_flaw", phone) == flaw


@pytest.mark.parametrize("body", ["11100000000013338W011.11430000006122244L.20230000403.001", "A.B.0.001"])
def test_a_certificate_identifier(body: str) -> None:
    right = certificate_id_check(body)
    assert judged("certificate_id_check", f"1.2.156.3005.2.{body}.{right}") is True
    assert judged("certificate_id_check", f"1.2.156.3005.2.{body}.{'0' if right != '0' else '1'}") is False
    assert judged("certificate_id_check", body) is None
