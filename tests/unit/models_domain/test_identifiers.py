"""Identifiers: known values of the standards, and Python and SQL agree on anything."""

from datetime import date

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.domain import identifiers as ids
from tests.support.examples import examples

KEY = b"a key of the tests"
PAIRS = {
    "is_credit_code": ids.sql_is_credit_code,
    "is_resident_id": ids.sql_is_resident_id,
    "is_division_code": ids.sql_is_division_code,
    "normalise": ids.sql_normalise,
    "mask_name": ids.sql_mask_name,
    "mask_identifier": ids.sql_mask_identifier,
    "mask_phone": ids.sql_mask_phone,
    "mask_text": ids.sql_mask_text,
}

digits17 = st.from_regex(r"[1-8][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2]|13)(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}", fullmatch=True)
resident = digits17.map(lambda body: body + ids.resident_id_check(body))
credit_body = st.from_regex(f"[{ids._CREDIT_ALPHABET}]{{2}}[0-9]{{6}}[{ids._CREDIT_ALPHABET}]{{9}}", fullmatch=True)
credit = credit_body.map(lambda body: body + ids.credit_code_check(body))
phone = st.from_regex(r"1[0-9]{2}[ -]?[0-9]{4}[ -]?[0-9]{4}|0[0-9]{2,3}-[0-9]{7,8}", fullmatch=True)
# DuckDB's VARCHAR holds any text but NUL and lone surrogates.
anything = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
blanks = st.text(" \t　\u00a0", max_size=3)
wide = st.text("０１２３Ｘｘａ0123xXaß\u00e9İ", max_size=20)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    text = draw(st.one_of(resident, credit, phone))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(text) - 1))
        text = text[:at] + draw(st.sampled_from("0123456789XxOoIS ")) + text[at + 1 :]
    return draw(blanks) + text + draw(blanks)


texts = st.one_of(anything, wide, resident, credit, damaged(), st.lists(st.one_of(anything, damaged()), max_size=4).map("，".join))


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    ids.set_digest_key(connection, KEY)
    return connection


@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=examples(100))
@given(values=st.lists(texts, min_size=1, max_size=30))
def test_python_and_sql_agree(connection: duckdb.DuckDBPyConnection, name: str, values: list[str]) -> None:
    rows = connection.execute(f"SELECT x, {PAIRS[name]('x')} FROM (SELECT unnest($1) AS x)", [values]).fetchall()
    assert rows == [(value, getattr(ids, name)(value)) for value in values]


@settings(max_examples=examples(100))
@given(values=st.lists(texts, min_size=1, max_size=30), key=st.binary(min_size=1, max_size=100))
def test_digests_agree(values: list[str], key: bytes) -> None:
    with duckdb.connect() as connection:
        ids.set_digest_key(connection, key)
        rows = connection.execute(f"SELECT {ids.sql_digest('x')} FROM (SELECT unnest($1) AS x)", [values]).fetchall()
    assert [row[0] for row in rows] == [ids.digest(key, value) for value in values]


@pytest.mark.parametrize("expression", [*(sql("x") for sql in PAIRS.values()), ids.sql_digest("x")])
def test_null_stays_null(connection: duckdb.DuckDBPyConnection, expression: str) -> None:
    assert connection.execute(f"SELECT {expression} FROM (SELECT NULL::VARCHAR AS x)").fetchone() == (None,)


def test_a_digest_without_its_key_fails_and_no_statement_holds_it() -> None:
    assert KEY.hex() not in ids.sql_digest("x")
    with duckdb.connect() as connection, pytest.raises(duckdb.Error, match="set_digest_key"):
        connection.execute(f"SELECT {ids.sql_digest('x')} FROM (SELECT 'a' AS x)").fetchall()


def test_equal_identifiers_have_equal_digests_however_they_are_typed() -> None:
    assert ids.digest(KEY, "　43019919900101001x ") == ids.digest(KEY, "４３０１９９19900101001Ｘ")
    assert ids.digest(KEY, "430199199001010010") != ids.digest(b"another key", "430199199001010010")


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ("11010519491231002X", True),  # the example of GB 11643-1999
        ("440524188001010014", True),
        ("11010519491231002x", False),
        ("110105194912310021", False),
        ("11010519490229002X", False),
        ("99010519491231002X", False),
        ("", False),
    ],
)
def test_resident_ids(value: str, valid: bool) -> None:
    assert ids.is_resident_id(value) is valid


def test_birth_dates() -> None:
    assert ids.birth_date("11010519491231002X") == date(1949, 12, 31)
    assert ids.birth_date("110105194912310021") is None
    leap = "11010520000229001"
    assert ids.birth_date(leap + ids.resident_id_check(leap)) == date(2000, 2, 29)
    common = "11010519000229001"
    assert ids.birth_date(common + ids.resident_id_check(common)) is None


@pytest.mark.parametrize(("value", "valid"), [("91350100M000100Y43", True), ("91350100M000100Y42", False), ("91350100I000100Y43", False)])
def test_credit_codes(value: str, valid: bool) -> None:
    assert ids.is_credit_code(value) is valid  # the example of GB 32100-2015


@pytest.mark.parametrize(
    ("value", "valid"),
    [("430199", True), ("430000", True), ("430199001", True), ("430199001201", True), ("430012", False), ("990101", False), ("43019", False), ("4301991", False)],
)
def test_division_codes(value: str, valid: bool) -> None:
    assert ids.is_division_code(value) is valid


@pytest.mark.parametrize(
    "identifier",
    [
        "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U",
        "1.2.156.3005.2.11100000000013338W009.11330105002500287C.2025052201.002.0",
    ],
)
def test_certificate_ids_seen_in_public_code(identifier: str) -> None:
    assert ids.is_certificate_id(identifier)
    assert not ids.is_certificate_id(identifier[:-1] + ("1" if identifier[-1] != "1" else "2"))


@given(body=st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=45, max_size=74), at=st.integers(0, 44), other=st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
def test_one_wrong_character_is_always_found(body: str, at: int, other: str) -> None:
    wrong = body[:at] + other + body[at + 1 :]
    assert (ids.certificate_id_check(wrong) == ids.certificate_id_check(body)) is (wrong == body)


@pytest.mark.parametrize(
    ("mask", "value", "shown"),
    [
        (ids.mask_name, "张三", "张*"),
        (ids.mask_name, "欧阳清溪", "欧**溪"),
        (ids.mask_name, "李", "*"),
        (ids.mask_identifier, "11010519491231002X", "110*************2X"),
        (ids.mask_identifier, "E12345678", "E*******8"),
        (ids.mask_identifier, "12345", "*****"),
        (ids.mask_phone, "19900001234", "199****1234"),
        (ids.mask_phone, "8823456", "*****56"),
        (ids.mask_text, "请拨 199-0000-1234 或０７３１-88881234，编号〔2025〕12号", "请拨 *** 或***，编号〔2025〕12号"),
        (ids.mask_text, "身份证11010519491231002X，执照91350100M000100Y43办好了", "身份证***，执照***办好了"),
        (ids.mask_text, "2026-06-30 办了 3 次", "2026-06-30 办了 3 次"),
        (ids.mask_text, "2026-06-18 13:45:10 收 1,234.5 元，第 12.3.4 条", "2026-06-18 13:45:10 收 1,234.5 元，第 12.3.4 条"),
        (ids.mask_text, "打138.1234.5678", "打***"),
        (ids.mask_text, "打13812 345678", "打***"),
        (ids.mask_text, "打１３８－１２３４－５６７８", "打***"),
        (ids.mask_text, "打1 3 8 1 2 3 4 5 6 7 8", "打***"),
        (ids.mask_text, "打138\u200b1234\u200b5678", "打***"),
        (ids.mask_text, "证号 1 1 0 1 0 5 1 9 4 9 1 2 3 1 0 0 2 X", "证号 ***"),
        (ids.mask_text, "证号110105.19491231.002x", "证号***"),
        (ids.mask_values, {"身份证号": "11010519491231002X", "电话": [13812345678, {"13812345678": True}], "面积": 120.5}, {"身份证号": "***", "电话": ["***", {"***": True}], "面积": 120.5}),
    ],
)
def test_masks(mask: object, value: object, shown: object) -> None:
    assert mask(value) == shown  # type: ignore[operator]
