"""Reviews with their follow-up, appeals and visits; complaints; what is written down at the window."""

from typing import Any, cast
from uuid import UUID

from models.core.feedback import reading
from models.core.feedback import service as feedback
from models.core.feedback.reading import State, Wanted, followed, shows_case, shows_party
from models.core.parties import rights
from models.core.policy.service import policy
from models.core.work.service import Work
from models.domain.codes import code_tables, label
from models.store.operational.paging import Page, Paging
from models.store.operational.tables import CaseFile
from serving.web.desk.common import Visit
from serving.web.desk.keeping.types import (
    PARTY,
    REASON,
    UNIT,
    Area,
    Field,
    Form,
    Link,
    Seen,
    Told,
    Values,
    matter,
    nothing,
    party_of,
    unit,
)

LEVELS = {1: "非常满意", 2: "满意", 3: "基本满意", 4: "不满意", 5: "非常不满意"}
_STATES = {"": "（不限）", "open": "整改中", "overdue": "整改超期", "settled": "已办结"}
_STATE = Field("state", "整改", "choice", lambda: _STATES, is_needed=False)
_YES = {"": "否", "1": "是"}
_SATISFIED = {True: "满意", False: "仍不满意", None: "未联系到"}
_CASE = Field("case_number", "办件编号", most=64)
STEPS = {activity: label("L.activity", activity) for activity in feedback.REVIEWABLE}
"""Activities that are a service to the applicant."""


def _reviews(here: Visit, session: Any, paging: Paging, wanted: Values) -> Page[Any]:
    is_bad = {"1": True, "0": False}.get(wanted["is_bad"])
    asked = Wanted("review", is_bad, wanted["unit_code"] or None, _state(wanted))
    return followed(session, here.access, paging, asked, here.today)


def _complaints(here: Visit, session: Any, paging: Paging, wanted: Values) -> Page[Any]:
    return followed(session, here.access, paging, Wanted("complaint", None, wanted["unit_code"] or None, _state(wanted)), here.today)


def _state(wanted: Values) -> State | None:
    return cast(State, wanted["state"]) if wanted["state"] in ("open", "overdue", "settled") else None


def _standing(here: Visit, seen: Any) -> str:
    """How the follow-up stands, and until when."""
    found = seen.follow_up
    if found is None:
        return "不需整改"
    if found.completed_at is not None:
        return "已办结"
    return f"{'超期' if found.is_overdue else '办理中'}，{found.due_on} 前" if found.due_on else "办理中"


def _text(here: Visit, seen: Any) -> str | None:
    """What was said, short."""
    said = reading.text_of(here.operations.crypto, seen.row)
    return said if said is None or len(said) <= 60 else f"{said[:60]}…"


def _look(here: Visit, session: Any, key: str) -> Seen:
    crypto, row = here.operations.crypto, reading.get(session, here.access, UUID(key))
    found = reading.follow_ups(session, [row], here.today).get(row.id)
    knows, knows_case = shows_party(here.access, row), shows_case(here.access, row)
    party = rights.shown(session, crypto, row.party_id) if knows else None
    case = (Link(row.case_number, f"/desk/cases/{row.case_id}") if here.principal.may("case:read") else row.case_number) if knows_case and row.case_number else None
    dealing = reading.numbers_of(session, [each for each in (row.follow_up_id, row.appeal_id) if each]) if here.principal.may("case:read") else {}
    follow_up, appeal = (Link(dealing[each], f"/desk/cases/{each}") if each in dealing else None for each in (row.follow_up_id, row.appeal_id))
    of_review = [
        ("满意度", LEVELS.get(row.level or 0)), ("默认评价", "是" if row.is_default else "否"), ("渠道", label("L.review_channel", row.channel_code) if row.channel_code else None),
        ("申诉", appeal), ("不计入", row.excluded_reason),
    ]  # fmt: skip
    of_complaint = [("事项", matter("matter_code")(here, row)), ("来信编号", reading.letter_of(crypto, row)), ("答复", reading.answer_of(session, row))]
    return Seen("评价" if row.kind == "review" else "投诉", [
        ("机构", unit("unit_code")(here, row)), ("时间", row.given_at), ("内容", reading.text_of(crypto, row)), ("评语" if row.kind == "review" else "类别", row.tags),
        ("提出人", f"{party.name}（{party.number}）" if party else "匿名" if knows and row.party_id is None else "（不显示）" if not knows else None),
        ("办件", case or ("（不显示）" if row.case_number else None)), *(of_review if row.kind == "review" else of_complaint),
        ("整改" if row.kind == "review" else "办理", _standing(here, reading.Seen(row, found))), ("整改件" if row.kind == "review" else "投诉件", follow_up),
        ("追评", [f"{LEVELS.get(each.level or 0)}：{reading.text_of(crypto, each) or '（没有文字）'}" for each in reading.second_readings(session, row.id)]),
        ("回访", [f"{each.visited_at.astimezone(here.operations.settings.tzinfo):%Y-%m-%d}：{_SATISFIED[each.is_satisfied]}" + (f"，{reading.note_of(crypto, each)}" if knows and each.note else "")
                 for each in reading.visits_of(session, row.id)]),
    ], row)  # fmt: skip


def _case_of(here: Visit, now: Work, values: Values, permission: str) -> CaseFile:
    """The case in reach that has the number."""
    return feedback.case_numbered(now, policy().access(here.principal, permission), values["case_number"])


def _complain(here: Visit, now: Work, v: Values) -> Told:
    is_anonymous = v["is_anonymous"] == "1"
    case = _case_of(here, now, v, "feedback:give") if v["case_number"] else None
    speaker = party_of(here, now, v) if v["number"] and not is_anonymous and here.principal.party_id is None else None
    made = feedback.complain(
        now, here.operations.crypto, here.operations.settings, here.access, v["unit_code"], v["text"], case_id=case.id if case else None, matter_code=v["matter_code"] or None,
        is_anonymous=is_anonymous or (here.principal.party_id is None and speaker is None), party_id=speaker,
    )  # fmt: skip
    follow_up = now.session.get_one(CaseFile, made.follow_up_id)
    return Told(f"已受理登记，投诉件编号 {follow_up.case_number}，请告诉投诉人。")


def _code(here: Visit, now: Work, v: Values) -> str:
    case = _case_of(here, now, v, "case:act")
    return feedback.hand_out_code(now, case.id, feedback.newest_step(now.session, case.id, v["step"]))


def _coded(here: Visit, now: Work, v: Values) -> None:
    given = feedback.NewReview(int(v["level"]), v["channel_code"] or None, (), v["text"] or None, is_anonymous=True)
    feedback.review_by_code(now, here.operations.crypto, here.operations.settings, v["code"], given)


_VISIT = Form(
    "visit", "登记回访", "feedback:visit",
    lambda here, now, v: nothing(feedback.visit(now, here.operations.crypto, here.access, UUID(v["id"]), {"1": True, "0": False}.get(v["is_satisfied"]), v["note"] or None)),
    (Field("is_satisfied", "结果", "choice", lambda: {"1": "满意", "0": "仍不满意", "": "未联系到"}, is_needed=False), Field("note", "记录", is_needed=False)),
)  # fmt: skip

AREAS: dict[str, Area] = {
    "opinions": Area(
        "登记评价和投诉", "feedback:give",
        create=(
            Form("complaint", "登记投诉", "feedback:give", _complain, (
                Field("unit_code", "投诉的机构", "unit"), Field("text", "内容", "long"), Field("case_number", "涉及的办件编号", is_needed=False, most=64),
                Field("matter_code", "涉及的事项", "matter", is_needed=False), PARTY[0],
                Field("number", "投诉人的证件号码", "private", is_needed=False, help="不填为匿名投诉；已登记的办事主体才能实名"),
                Field("is_anonymous", "匿名", "choice", lambda: _YES, is_needed=False))),
            Form("code", "发评价码", "case:act", _code, (_CASE, Field("step", "评价哪个环节", "choice", lambda: STEPS))),
            Form("coded", "凭评价码评价", "feedback:give", _coded, (
                Field("code", "评价码", "private"), Field("level", "满意度", "choice", lambda: {str(level): title for level, title in LEVELS.items()}),
                Field("channel_code", "评价渠道", "choice", lambda: {"": "（不填）"} | code_tables()["L.review_channel"], is_needed=False),
                Field("text", "文字评价", "long", is_needed=False))),
        ),
    ),
    "reviews": Area(
        "评价", "feedback:read", _reviews,
        (("满意度", lambda here, seen: LEVELS[seen.row.level] + ("（默认）" if seen.row.is_default else "")),
         ("办件", lambda here, seen: seen.row.case_number if shows_case(here.access, seen.row) else "（不显示）"), ("内容", _text),
         ("机构", lambda here, seen: unit("unit_code")(here, seen.row)), ("时间", lambda here, seen: seen.row.given_at),
         ("整改", _standing), ("不计入", lambda here, seen: seen.row.excluded_reason)),
        lambda seen: str(seen.row.id),
        (Field("is_bad", "差评", "choice", lambda: {"": "（不限）", "1": "只看差评", "0": "不看差评"}, is_needed=False), UNIT, _STATE), (),
        (Form("appeal", "申诉", "feedback:appeal", lambda here, now, v: nothing(feedback.appeal(now, here.operations.settings, here.access, UUID(v["id"]), v["reason"])), (REASON,),
              is_for=lambda row: row.level in reading.BAD and row.appeal_id is None), _VISIT),
        look=_look,
    ),
    "complaints": Area(
        "投诉", "feedback:read", _complaints,
        (("内容", _text), ("机构", lambda here, seen: unit("unit_code")(here, seen.row)), ("时间", lambda here, seen: seen.row.given_at), ("办理", _standing)),
        lambda seen: str(seen.row.id), (UNIT, _STATE), (), (_VISIT,), look=_look,
    ),
}  # fmt: skip
