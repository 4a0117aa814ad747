"""``/api/v1/{reviews,complaints}``: what people say about the service."""

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session
from starlette.responses import Response

from models.core.crypto.types import CryptoProvider
from models.core.feedback import reading, service
from models.core.feedback.reading import Seen, State, Wanted
from models.core.policy.service import Access
from models.core.work.service import Work
from models.store.operational.tables import Feedback, Visit
from serving.api.operational.calls import BEARER, Call, Code, LongText, Number, PageParameters, Strict, Text, permitted
from serving.api.operational.listing import Listed, Reason, Shown

router = APIRouter(tags=["评价和投诉"], dependencies=[BEARER])
Reader = Annotated[Call, permitted("feedback:read")]
Giver = Annotated[Call, permitted("feedback:give")]
Reviewer = Annotated[Call, permitted("feedback:review")]


class Opinion(Strict):
    """评价的内容。"""

    level: int = Field(ge=1, le=5, description="满意度：1 非常满意 … 5 非常不满意（GB/T 39046 表 A.8）")
    channel_code: Code | None = Field(None, description="评价渠道（码表 L.review_channel）")
    tags: list[Text] = Field(default_factory=list, max_length=10, description="选中的评语")
    text: LongText | None = Field(None, description="文字评价")
    is_anonymous: bool = Field(False, description="匿名")

    def review(self) -> service.NewReview:
        """For the service."""
        return service.NewReview(self.level, self.channel_code, tuple(self.tags), self.text, self.is_anonymous)


class NewReview(Opinion):
    """对一个环节的评价。"""

    model_config = ConfigDict(json_schema_extra={"example": {"case_id": "01909a4e-0000-7000-8000-000000000001", "sequence": 6, "level": 4, "text": "等了很久"}})

    case_id: UUID = Field(description="办件")
    sequence: Number = Field(description="环节的序号")


class CodedReview(Opinion):
    """凭评价码的评价。"""

    model_config = ConfigDict(json_schema_extra={"example": {"code": "k3J9x0vQ2m7T1aBcDeFgHi", "level": 1}})

    code: Annotated[str, Field(min_length=10, max_length=60, pattern=r"^[0-9A-Za-z_-]+$", description="评价码")]


class SecondReview(Opinion):
    """整改之后的追评。"""

    model_config = ConfigDict(json_schema_extra={"example": {"level": 2, "text": "已解决"}})


class NewCode(Strict):
    """要发给申请人的评价码。"""

    model_config = ConfigDict(json_schema_extra={"example": {"case_id": "01909a4e-0000-7000-8000-000000000001", "sequence": 6}})

    case_id: UUID = Field(description="办件")
    sequence: Number = Field(description="环节的序号")


class IssuedCode(BaseModel):
    """评价码。"""

    code: str | None = Field(description="评价码，只显示这一次")


class NewVisit(Strict):
    """回访的结果。"""

    model_config = ConfigDict(json_schema_extra={"example": {"is_satisfied": True, "note": "对整改满意"}})

    is_satisfied: bool | None = Field(description="是否满意；未联系到时为空")
    note: LongText | None = Field(None, description="记录")


class VisitItem(Shown):
    """回访。"""

    id: UUID = Field(description="标识")
    is_satisfied: bool | None = Field(description="是否满意；未联系到时为空")
    visited_at: dt.datetime = Field(description="时间")
    note: str | None = Field(None, description="记录，其中的号码脱敏；不应让您知道时为空")

    @classmethod
    def seen(cls, row: Visit, of: Feedback, call: Call) -> "VisitItem":
        """As the caller may see it."""
        note = reading.note_of(call.crypto, row) if reading.shows_party(call.access, of) else None
        return cls(id=row.id, is_satisfied=row.is_satisfied, visited_at=row.visited_at, note=note)


class NewComplaint(Strict):
    """投诉。"""

    model_config = ConfigDict(json_schema_extra={"example": {"unit_code": "B01", "text": "窗口午休时间不对外办公"}})

    unit_code: Code = Field(description="投诉的机构")
    text: LongText = Field(description="内容")
    case_id: UUID | None = Field(None, description="涉及的办件")
    matter_code: Code | None = Field(None, description="涉及的事项")
    letter_number: Text | None = Field(None, description="涉及的已公开来信的编号")
    tags: list[Text] = Field(default_factory=list, max_length=10, description="类别")
    is_anonymous: bool = Field(False, description="匿名")


class FeedbackItem(Shown):
    """评价或投诉。"""

    id: UUID = Field(description="标识")
    case_id: UUID | None = Field(description="办件；不应让您知道时为空")
    case_number: str | None = Field(description="办件编号")
    sequence: int | None = Field(description="环节的序号")
    matter_code: str | None = Field(description="投诉涉及的事项")
    letter_number: str | None = Field(description="投诉涉及的来信")
    unit_code: str = Field(description="机构")
    party_id: UUID | None = Field(description="评价人；匿名或不应让您知道时为空")
    level: int | None = Field(description="满意度")
    is_default: bool = Field(description="默认评价")
    is_coded: bool = Field(description="凭评价码的评价；本人登录后的评价优先于它")
    given_by: str | None = Field(description="代为提交的系统或工作人员；本人提交或不应让您知道时为空")
    channel_code: str | None = Field(description="评价渠道")
    tags: list[str] = Field(description="评语")
    follows_id: UUID | None = Field(description="追评的原评价")
    follow_up_id: UUID | None = Field(description="整改或投诉处理的内部办件")
    appeal_id: UUID | None = Field(description="申诉的内部办件")
    excluded_at: dt.datetime | None = Field(description="何时不计入")
    excluded_reason: str | None = Field(description="为何不计入")
    given_at: dt.datetime = Field(description="时间")

    @classmethod
    def seen(cls, row: Feedback, access: Access, crypto: CryptoProvider) -> "FeedbackItem":
        """As the caller may see it."""
        kept = set() if reading.shows_party(access, row) else {"party_id", "given_by"}
        if not reading.shows_case(access, row):
            kept |= {"case_id", "case_number", "sequence"}
        return cls.of(row).model_copy(update={"letter_number": reading.letter_of(crypto, row)} | dict.fromkeys(kept))


class FollowUpItem(Shown):
    """整改或投诉处理的进展。"""

    case_number: str = Field(description="内部办件的编号")
    phase: str = Field(description="阶段")
    step: str | None = Field(description="待办的步骤")
    due_on: dt.date | None = Field(description="这一步的到期日")
    is_overdue: bool = Field(description="已逾期")
    outcome_code: str | None = Field(description="结果")
    completed_at: dt.datetime | None = Field(description="办结时间")


class FollowedItem(FeedbackItem):
    """评价或投诉，及其处理的进展。"""

    follow_up: FollowUpItem | None = Field(description="处理的进展；没有转办的为空")


class FeedbackDetail(FollowedItem):
    """评价或投诉，及其处理和回访。"""

    text: str | None = Field(description="文字，其中的号码脱敏")
    answer: str | None = Field(description="答复，或不予受理的理由")
    visits: list[VisitItem] = Field(description="回访")


class ReviewParameters(PageParameters):
    """评价列表的条件。"""

    is_bad: bool | None = Field(None, description="true 只看差评")
    unit_code: Code | None = Field(None, description="机构")
    state: State | None = Field(None, description="处理的进展：open 未办结、overdue 其中已逾期的、settled 已办结")
    is_visited: bool | None = Field(None, description="true 已回访，false 实名而未回访")


class ComplaintParameters(PageParameters):
    """投诉列表的条件。"""

    unit_code: Code | None = Field(None, description="机构")
    state: State | None = Field(None, description="处理的进展：open 未办结、overdue 其中已逾期的、settled 已办结")
    is_visited: bool | None = Field(None, description="true 已回访，false 实名而未回访")


@router.get("/reviews", response_model=Listed[FollowedItem], summary="评价列表")
def list_reviews(wanted: Annotated[ReviewParameters, Query()], call: Reader) -> Response:
    """有权查看的评价及差评整改的进展，最新的在前；已有主动评价的默认评价不列出。"""
    return _list(call, wanted, Wanted("review", wanted.is_bad, wanted.unit_code, wanted.state, wanted.is_visited))


@router.post("/reviews", response_model=FeedbackItem, status_code=201, summary="评价一个环节")
def give_review(body: NewReview, call: Reviewer) -> Response:
    """本人或代理人登录后评价，每个环节一次；没有账号的用评价码。差评随即转办整改。"""
    return call.post(body, lambda now: _item(call)(service.review(now, call.crypto, call.settings, call.access, body.case_id, body.sequence, body.review())))


@router.post("/reviews/codes", response_model=IssuedCode, status_code=201, summary="发评价码")
def hand_out_review_code(body: NewCode, call: Annotated[Call, permitted("case:act")]) -> Response:
    """评价码印在凭证上或显示在评价器上，用一次即失效。"""
    return call.post(
        body, lambda now: IssuedCode(code=service.hand_out_code(now, service.reached_case(now, call.access, body.case_id).id, body.sequence)), shown_once="code"
    )  # fmt: skip


@router.post("/reviews/coded", response_model=FeedbackItem, status_code=201, summary="凭评价码评价")
def give_coded_review(body: CodedReview, call: Giver) -> Response:
    """评价器、自助终端和小程序凭评价码代为提交，匿名；记录由谁提交，本人登录后的评价优先于它。"""
    return call.post(body, lambda now: _item(call)(service.review_by_code(now, call.crypto, call.settings, body.code, body.review())))


@router.get("/reviews/{feedback_id}", response_model=FeedbackDetail, summary="一个评价")
def get_review(feedback_id: UUID, call: Reader) -> Response:
    """及其整改的进展和回访。"""
    return call.one(lambda session: _detail(session, call, feedback_id, "review"))


@router.post("/reviews/{feedback_id}/second", response_model=FeedbackItem, status_code=201, summary="追评")
def give_second_review(feedback_id: UUID, body: SecondReview, call: Reviewer) -> Response:
    """整改办结之后；原评价不变。"""
    return call.post(body, lambda now: _item(call)(service.review_again(now, call.crypto, call.access, feedback_id, body.review())))


@router.post("/reviews/{feedback_id}/appeal", response_model=FeedbackItem, summary="申诉恶意评价")
def appeal_review(feedback_id: UUID, body: Reason, call: Annotated[Call, permitted("feedback:appeal")]) -> Response:
    """由被评价单位提出，监督人员核查、上级机构负责人复核；成立的不计入，记录保留。"""
    return call.post(body, lambda now: _item(call)(service.appeal(now, call.settings, call.access, feedback_id, body.reason)), status=200)


@router.post("/reviews/{feedback_id}/visits", response_model=VisitItem, status_code=201, summary="登记回访")
def add_visit(feedback_id: UUID, body: NewVisit, call: Annotated[Call, permitted("feedback:visit")]) -> Response:
    """评价和投诉都可以回访；匿名的除外。"""
    def do(now: Work) -> VisitItem:
        made = service.visit(now, call.crypto, call.access, feedback_id, body.is_satisfied, body.note)
        return VisitItem.seen(made, service.get(now.session, call.access, feedback_id), call)

    return call.post(body, do)


@router.get("/complaints", response_model=Listed[FollowedItem], summary="投诉列表")
def list_complaints(wanted: Annotated[ComplaintParameters, Query()], call: Reader) -> Response:
    """有权查看的投诉及其处理的进展，最新的在前。"""
    return _list(call, wanted, Wanted("complaint", None, wanted.unit_code, wanted.state, wanted.is_visited))


@router.post("/complaints", response_model=FeedbackItem, status_code=201, summary="投诉")
def file_complaint(body: NewComplaint, call: Giver) -> Response:
    """随即转给被投诉的机构受理。"""
    return call.post(body, lambda now: _item(call)(service.complain(now, call.crypto, call.settings, call.access, **body.model_dump())))


@router.get("/complaints/{feedback_id}", response_model=FeedbackDetail, summary="一个投诉")
def get_complaint(feedback_id: UUID, call: Reader) -> Response:
    """及其处理的进展和回访。"""
    return call.one(lambda session: _detail(session, call, feedback_id, "complaint"))


@router.post("/complaints/{feedback_id}/withdrawal", response_model=FeedbackItem, summary="撤回投诉")
def withdraw_complaint(feedback_id: UUID, body: Reason, call: Giver) -> Response:
    """只能由投诉人本人撤回；被投诉的机构只知道投诉已撤回。"""
    return call.post(body, lambda now: _item(call)(service.withdraw(now, call.settings, call.access, feedback_id, body.reason)), status=200)


def _item(call: Call) -> Any:
    return lambda row: FeedbackItem.seen(row, call.access, call.crypto)


def _list(call: Call, parameters: PageParameters, wanted: Wanted) -> Response:
    def shown(seen: Seen) -> FollowedItem:
        return FollowedItem(**FeedbackItem.seen(seen.row, call.access, call.crypto).model_dump(), follow_up=_follow_up(seen.follow_up))

    return call.page(lambda session: reading.followed(session, call.access, parameters.paging, wanted, call.today), shown)


def _detail(session: Session, call: Call, feedback_id: UUID, kind: Literal["review", "complaint"]) -> FeedbackDetail:
    row = reading.get(session, call.access, feedback_id, kind)
    standing = reading.follow_ups(session, [row], call.today).get(row.id)
    return FeedbackDetail(
        **FeedbackItem.seen(row, call.access, call.crypto).model_dump(), follow_up=_follow_up(standing), text=reading.text_of(call.crypto, row),
        answer=reading.answer_of(session, row), visits=[VisitItem.seen(each, row, call) for each in reading.visits_of(session, row.id)],
    )  # fmt: skip


def _follow_up(found: reading.FollowUp | None) -> FollowUpItem | None:
    return FollowUpItem.of(found) if found is not None else None
