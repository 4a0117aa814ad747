"""The kinds of planted errors: how people mistype and interfaces break, field by field.

A kind knows fields, never rules of quality: it turns right values into wrong ones. Where it strikes and
how that is recorded is in :mod:`pipelines.sample.planting`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache

import numpy as np

from pipelines.sample.columns import NULL, Frame, Ints
from pipelines.sample.lives import Step
from pipelines.sample.places import Places, wordlists
from pipelines.sample.results import Results

Texts = list[str | None]
Edits = dict[str, Texts]
Change = Callable[[Frame, Ints, Ints, "Stock"], Edits]
Eligible = Callable[[Results, Ints, Ints], Ints]


class Effect(StrEnum):
    """What a kind does to a record."""

    VALUE = "value"
    ADDED = "row_added"
    MISSING = "row_missing"


@dataclass(frozen=True)
class Stock:
    """What the clumsy have at hand: other departments, retired matters."""

    departments: list[str]
    retired: list[str]


@dataclass(frozen=True)
class Kind:
    """A kind of error.

    Attributes:
        code: Its name in the ledger.
        subject: Subject whose rows it strikes.
        title: What people see.
        change: New values of fields, from the frame, the rows and a draw for each of them.
        effect: Whether values change, a further row appears, or the row is missing.
        eligible: Which rows it can strike.
        boost: How much likelier than other rows its rows are struck.
    """

    code: str
    subject: str
    title: str
    change: Change
    effect: Effect = Effect.VALUE
    eligible: Eligible = lambda rows, case, part: np.ones(len(case), bool)
    boost: int = 1


def stock(places: Places, retired: list[str]) -> Stock:
    """The stock of a city."""
    return Stock([d.code for d in places.departments], retired)


def each(field: str, turn: Callable[[str, int], str | None]) -> Change:
    """A change of one field, value by value; nulls stay."""

    def change(frame: Frame, rows: Ints, draw: Ints, stock: Stock) -> Edits:
        return {field: [None if v is None else turn(v, int(d)) for v, d in zip(frame.values(field, rows), draw, strict=True)]}

    return change


def one_of(fields: Sequence[str], turn: Callable[[str, int], str | None]) -> Change:
    """A change of one of several fields, chosen by the draw among those that hold a value."""

    def change(frame: Frame, rows: Ints, draw: Ints, stock: Stock) -> Edits:
        values = {f: frame.values(f, rows) for f in fields}
        edits = {f: list(v) for f, v in values.items()}
        for i, d in enumerate(draw):
            held = [f for f in fields if values[f][i] is not None]
            if held:
                field = held[int(d) % len(held)]
                edits[field][i] = turn(values[field][i] or "", int(d) >> 4)
        return edits

    return change


def moved(fields: Sequence[str], by: Callable[[int], timedelta]) -> Change:
    """A change of instants by a span."""

    def change(frame: Frame, rows: Ints, draw: Ints, stock: Stock) -> Edits:
        return {f: [None if v is None else _shift(v, by(int(d))) for v, d in zip(frame.values(f, rows), draw, strict=True)] for f in fields}

    return change


def swapped(first: str, second: str) -> Change:
    """Two fields change places."""
    return lambda frame, rows, draw, stock: {first: frame.values(second, rows), second: frame.values(first, rows)}


def both(*changes: Change) -> Change:
    """Several changes of the same rows."""

    def change(frame: Frame, rows: Ints, draw: Ints, stock: Stock) -> Edits:
        edits: Edits = {}
        for part in changes:
            edits |= part(frame, rows, draw, stock)
        return edits

    return change


def _shift(text: str, span: timedelta) -> str:
    return (datetime.fromisoformat(text) + span).isoformat()


def _transposed(text: str, draw: int) -> str:
    """Two neighbours that differ change places."""
    for i in range(len(text) - 1):
        at = 2 + (draw + i) % max(len(text) - 4, 1)
        if text[at] != text[at + 1]:
            return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text


def _other_last(text: str, draw: int) -> str:
    return text[:-1] + next(c for c in "0123456789"[draw % 9 :] + "0" if c != text[-1])


def _misread(text: str, draw: int) -> str:
    """A letter that looks like a digit."""
    for digit, letter in (("0", "O"), ("1", "l"), ("9", "g")):
        at = text.rfind(digit)
        if at >= 0:
            return text[:at] + letter + text[at + 1 :]
    return text


def _wide(text: str, draw: int) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def _spaced(text: str, draw: int) -> str:
    return [f" {text}", f"{text}  ", f"{text[:1]} {text[1:]}", f"{text}\u3000"][draw % 4]


def _mojibake(text: str, draw: int) -> str:
    return text.encode().decode("gbk", errors="replace")


def _number_of(digit: str) -> Callable[[str, int], str]:
    """A case number that no case has: its serial begins with a digit that no real serial reaches."""
    return lambda text, draw: text[:14] + digit + text[15:]


def _bad_day(text: str, draw: int) -> str:
    return [f"{text[:4]}-02-30", f"{text[:4]}年13月", f"{text[:4]}.6.31", "0000-00-00"][draw % 4]


def _in_time(*steps: Step) -> Eligible:
    return lambda rows, case, part: np.all(rows.seen[case][:, [int(s) for s in steps]] != NULL, axis=1)


def _at(*steps: Step) -> Eligible:
    return lambda rows, case, part: np.isin(part, steps)


def _person(rows: Results, case: Ints, part: Ints) -> Ints:
    return rows.lives.applicant[case] < rows.world.people.persons


def _default(rows: Results, case: Ints, part: Ints) -> Ints:
    return np.asarray(rows.opinions.default[case])


def _dated(rows: Results, case: Ints, part: Ints) -> Ints:
    return rows.world.matters.years[rows.lives.matter[case]] > 0


def _other_department(frame: Frame, rows: Ints, draw: Ints, stock: Stock) -> Edits:
    codes = stock.departments
    return {"department_code": [codes[(codes.index(v) + 1 + int(d) % (len(codes) - 1)) % len(codes)] for v, d in zip(frame.values("department_code", rows), draw, strict=True) if v]}


def _retired_matter(frame: Frame, rows: Ints, draw: Ints, stock: Stock) -> Edits:
    return {"matter_code": [stock.retired[int(d) % len(stock.retired)] for d in draw]}


def _other_name(text: str, draw: int) -> str:
    lists = wordlists()
    return lists["surname"][draw % len(lists["surname"])] + lists["given2"][draw // 7 % len(lists["given2"])]


def _same_minute(frame: Frame, rows: Ints, draw: Ints, stock: Stock) -> Edits:
    """All events of a case are written at the start of the day on which it came in."""
    numbers, places = frame.values("case_number", rows), frame.values("sequence", rows)
    times: Texts = [f"{n[6:10]}-{n[10:12]}-{n[12:14]}T02:30:{int(s or 0):02}+00:00" if n else None for n, s in zip(numbers, places, strict=True)]
    return {"occurred_at": times, "ended_at": times}


def _reversed(text: str, draw: int) -> str:
    return str(6 - int(text))


def _gone(frame: Frame, rows: Ints, draw: Ints, stock: Stock) -> Edits:
    return {}


_CASE_TIMES = ("applied_at", "received_at", "accepted_at", "completed_at")
_DONE = _in_time(Step.ACCEPTED, Step.COMPLETED)
ANY_NULL: Callable[[str, int], str | None] = lambda text, draw: None  # noqa: E731


@cache
def kinds() -> dict[str, Kind]:
    """All kinds that strike rows of moving subjects, by code; those of matters are in ``planting``."""
    listed = [
        Kind("missing_required", "case", "必填项缺失", one_of(["applicant_name", "applicant_id", "contact_phone", "department_code", "channel_code"], ANY_NULL)),
        Kind("blank_key", "case", "办件编号为空", each("case_number", ANY_NULL)),
        Kind("duplicate_key", "case", "同一编号重复上报且内容不同", both(each("contact_phone", _other_last), each("address", lambda v, d: v[:-4])), Effect.ADDED),
        Kind("near_duplicate", "case", "同一申请换编号重复录入", both(each("case_number", _number_of("9")), moved(["applied_at", "received_at"], lambda d: timedelta(minutes=3))), Effect.ADDED),
        Kind("transposed_id", "case", "证件号码相邻两位颠倒", each("applicant_id", _transposed)),
        Kind("wrong_id_check", "case", "证件号码校验位错误", each("applicant_id", _other_last)),
        Kind("letter_for_digit", "case", "数字误写为字母", each("applicant_id", _misread)),
        Kind("short_id", "case", "证件号码少一位", each("applicant_id", lambda v, d: v[:9] + v[10:])),
        Kind("wrong_id_type", "case", "证件类型选错", each("applicant_id_type_code", lambda v, d: "414" if v == "111" else "111")),
        Kind("unknown_code", "case", "代码不在代码表中", one_of(["channel_code", "case_kind_code", "applicant_id_type_code"], lambda v, d: ["7", "XX", "00"][d % 3])),
        Kind("swapped_dates", "case", "受理与办结时间填反", swapped("accepted_at", "completed_at"), eligible=_DONE),
        Kind("future_date", "case", "办结时间在未来", moved(["completed_at"], lambda d: timedelta(days=1096)), eligible=_DONE),
        Kind("wrong_zone", "case", "时区错误，早八小时", moved(_CASE_TIMES, lambda d: timedelta(hours=-8))),
        Kind("epoch_date", "case", "时间被写成 1970 年", each("received_at", lambda v, d: "1969-12-31T16:00:00+00:00")),
        Kind("year_typo", "case", "年份少写十年", moved(["accepted_at"], lambda d: timedelta(days=-3652)), eligible=_in_time(Step.ACCEPTED)),
        Kind("truncated_matter", "case", "实施编码被截断", each("matter_code", lambda v, d: v[:24])),
        Kind("unknown_matter", "case", "实施编码不存在", each("matter_code", lambda v, d: v[:25] + "999" + v[28:])),
        Kind("retired_matter", "case", "事项已取消", _retired_matter),
        Kind("wrong_department", "case", "受理单位填错", _other_department),
        Kind("full_width", "case", "全角字符", one_of(["contact_phone", "applicant_id"], _wide)),
        Kind("stray_spaces", "case", "多余空格", one_of(["applicant_name", "applicant_id"], _spaced)),
        Kind("mojibake_name", "case", "姓名乱码", each("applicant_name", _mojibake)),
        Kind("short_phone", "case", "手机号码位数不足", each("contact_phone", lambda v, d: v[: 8 + d % 3])),
        Kind("placeholder_name", "case", "姓名是占位文字", each("applicant_name", lambda v, d: ["测试", "无", "XXX", "张三test"][d % 4])),
        Kind("shifted_columns", "case", "姓名与证件号码错列", swapped("applicant_name", "applicant_id"), eligible=_person),
        Kind("event_out_of_order", "case_event", "环节时间乱序", moved(["occurred_at"], lambda d: timedelta(days=-3 - d % 5)), eligible=_at(Step.ACCEPTED, Step.APPROVED, Step.COMPLETED, Step.REVIEWED)),
        Kind("missing_event", "case_event", "环节缺失", _gone, Effect.MISSING, eligible=_at(Step.ACCEPTED, Step.APPROVED, Step.COMPLETED, Step.PRE_REVIEWED)),
        Kind("duplicate_event", "case_event", "环节重复上报且内容不同", moved(["occurred_at", "ended_at"], lambda d: timedelta(minutes=5)), Effect.ADDED, eligible=_at(Step.RECEIVED, Step.ACCEPTED)),
        Kind("orphan_event", "case_event", "环节没有对应办件", each("case_number", _number_of("8")), eligible=_at(Step.RECEIVED, Step.ACCEPTED, Step.COMPLETED)),
        Kind("unknown_activity", "case_event", "环节代码不存在", each("activity_code", lambda v, d: ["step_99", "SL01", ""][d % 3] or "?"), eligible=_at(Step.HANDLED, Step.APPROVED, Step.PRE_REVIEWED)),
        Kind("negative_duration", "case_event", "环节结束早于开始", lambda f, r, d, s: {"ended_at": [None if v is None else _shift(v, timedelta(hours=-2)) for v in f.values("occurred_at", r)]}, eligible=_at(Step.HANDLED, Step.APPROVED, Step.RECEIVED)),
        Kind("overlapping_pause", "case_event", "特别程序时段重叠", both(each("sequence", lambda v, d: str(int(v) + 50)), moved(["occurred_at", "special_started_at", "special_ended_at", "ended_at"], lambda d: timedelta(hours=20))), Effect.ADDED, eligible=_at(Step.SUSPENDED), boost=8),
        Kind("impossible_date", "certificate", "不存在的日期", one_of(["issued_on", "valid_from"], _bad_day)),
        Kind("certificate_without_case", "certificate", "证照没有对应办件", each("case_number", _number_of("6"))),
        Kind("wrong_certificate_check", "certificate", "证照标识校验位错误", each("certificate_id", _other_last)),
        Kind("case_without_certificate", "certificate", "办件有证照编号而证照库没有", _gone, Effect.MISSING),
        Kind("swapped_validity", "certificate", "有效期起止颠倒", swapped("valid_from", "valid_to"), eligible=_dated),
        Kind("wrong_holder", "certificate", "持证者与申请者不一致", each("holder_name", _other_name)),
        Kind("orphan_review", "review", "评价没有对应办件", each("case_number", _number_of("7"))),
        Kind("default_marked_active", "review", "默认评价标为主动", each("is_default", lambda v, d: "false"), eligible=_default),
        Kind("unknown_satisfaction", "review", "满意度代码不存在", each("satisfaction_code", lambda v, d: ["0", "6", "9"][d % 3])),
        Kind("review_before_completion", "review", "评价早于办件", moved(["reviewed_at"], lambda d: timedelta(days=-60 - d % 90))),
        Kind("duplicate_review", "review", "评价重复上报且内容不同", each("satisfaction_code", lambda v, d: "1" if v == "2" else "2"), Effect.ADDED),
        Kind("same_minute", "case_event", "全部环节写在同一分钟", _same_minute, boost=0),
        Kind("reversed_scale", "review", "满意度方向颠倒", each("satisfaction_code", _reversed), boost=0),
    ]  # fmt: skip
    return {kind.code: kind for kind in listed}
