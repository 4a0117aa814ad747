"""Reviews with their follow-up, appeals and visits; complaints."""

from typing import Any, cast
from uuid import UUID

from models.core.feedback import service as feedback
from models.core.feedback.reading import State, Wanted, followed, shows_case
from models.store.operational.paging import Page, Paging
from serving.web.desk.common import Visit
from serving.web.desk.keeping.types import REASON, UNIT, Area, Field, Form, Values, nothing, unit

LEVELS = {1: "非常满意", 2: "满意", 3: "基本满意", 4: "不满意", 5: "非常不满意"}
_STATES = {"": "（不限）", "open": "整改中", "overdue": "整改超期", "settled": "已办结"}
_STATE = Field("state", "整改", "choice", lambda: _STATES, is_needed=False)


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


AREAS: dict[str, Area] = {
    "reviews": Area(
        "评价", "feedback:read", _reviews,
        (("办件", lambda here, seen: seen.row.case_number if shows_case(here.access, seen.row) else "（不显示）"), ("满意度", lambda here, seen: LEVELS[seen.row.level]),
         ("默认", lambda here, seen: "默认" if seen.row.is_default else ""), ("机构", lambda here, seen: unit("unit_code")(here, seen.row)), ("时间", lambda here, seen: seen.row.given_at),
         ("整改", _standing), ("不计入", lambda here, seen: seen.row.excluded_reason)),
        lambda seen: str(seen.row.id),
        (Field("is_bad", "差评", "choice", lambda: {"": "（不限）", "1": "只看差评", "0": "不看差评"}, is_needed=False), UNIT, _STATE), (),
        (Form("appeal", "申诉", "feedback:appeal", lambda here, now, v: nothing(feedback.appeal(now, here.operations.settings, here.access, UUID(v["id"]), v["reason"])), (REASON,)),
         Form("visit", "登记回访", "feedback:visit",
              lambda here, now, v: nothing(feedback.visit(now, here.operations.crypto, here.access, UUID(v["id"]), {"1": True, "0": False}.get(v["is_satisfied"]), v["note"] or None)),
              (Field("is_satisfied", "结果", "choice", lambda: {"1": "满意", "0": "仍不满意", "": "未联系到"}, is_needed=False), Field("note", "记录", is_needed=False)))),
    ),
    "complaints": Area(
        "投诉", "feedback:read", _complaints,
        (("机构", lambda here, seen: unit("unit_code")(here, seen.row)), ("内容", lambda here, seen: feedback.text_of(here.operations.crypto, seen.row)), ("时间", lambda here, seen: seen.row.given_at),
         ("办理", _standing)),
        lambda seen: str(seen.row.id), (UNIT, _STATE),
    ),
}  # fmt: skip
