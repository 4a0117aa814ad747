"""What is said about cases and tasks."""

import datetime as dt
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from models.core.handling.lists import span
from models.core.handling.service import CaseFilter, Draft, Look, Move, TaskFilter, TaskRow
from models.core.processes.definition import Action
from serving.api.operational.calls import Code, Document, LongText, Number, PageParameters, Strict, Text
from serving.api.operational.listing import Shown

_MOST_FORM = 200_000


def _not_too_large(form: dict[str, Any] | None) -> dict[str, Any] | None:
    if form is not None and len(str(form)) > _MOST_FORM:
        raise ValueError("内容过大")
    return form


class RevealedForm(BaseModel):
    """申请内容明文。"""

    form: dict[str, Any] | None = Field(description="申请内容；没有填写时为空")


Form = Annotated[Document, AfterValidator(_not_too_large)]


class NewCase(Strict):
    """要起草的申请。"""

    model_config = ConfigDict(json_schema_extra={"example": {"matter_code": "11430104MB15000001430117002011", "channel_code": "2", "form": {"场所名称": "清风浴室"}}})

    matter_code: Code = Field(description="实施编码")
    applicant_id: UUID | None = Field(None, description="申请人；缺省为本人")
    channel_code: Code | None = Field(None, description="渠道（码表 L.channel）")
    form: Form | None = Field(None, description="申请内容")
    is_commitment: bool = Field(False, description="以告知承诺方式申请")
    expires_on: dt.date | None = Field(None, description="要延续的证件的有效期截止日；延续事项必填，其他事项不填")
    region_code: Code | None = Field(None, description="区划代码")
    window_code: Code | None = Field(None, description="窗口代码")

    def draft(self) -> Draft:
        """For the service."""
        return Draft(**self.model_dump())


class AmendedCase(Strict):
    """修改后的申请内容。"""

    model_config = ConfigDict(json_schema_extra={"example": {"form": {"场所名称": "清风浴室", "面积": "120"}}})

    form: Form = Field(description="申请内容，整体替换")


class NewMove(Strict):
    """要办理的动作。"""

    model_config = ConfigDict(json_schema_extra={"example": {"action": "deny", "reason": "不符合《公共场所卫生管理条例》第四条规定的条件"}})

    action: Code = Field(description="动作（见 possible）")
    step: Code | None = Field(None, description="环节；几个环节可以这样办理时须写明")
    reason: LongText | None = Field(None, description="理由")
    outcome: Code | None = Field(None, description="办理结果（码表 L.outcome）")
    special_kind: Code | None = Field(None, description="特别程序的种类（码表 L.special_kind）")
    has_written_notice: bool = Field(False, description="已书面告知申请人（行政许可法第四十五条）")
    extension_days: Number | None = Field(None, description="延长的天数")
    missing: list[Text] = Field(default_factory=list, max_length=100, description="容缺或补齐的材料")
    unit_code: Code | None = Field(None, description="转给的单位")

    def move(self) -> Move:
        """For the service."""
        return Move(**self.model_dump(exclude={"missing"}), missing=tuple(self.missing))


class PossibleAction(BaseModel):
    """此刻可以办理的动作。"""

    action: str = Field(description="动作")
    title: str = Field(description="名称")
    step: str | None = Field(description="环节")
    effect: str = Field(description="对办件的作用")
    outcomes: list[str] = Field(description="可选的办理结果")
    needs_reason: bool = Field(description="须说明理由")

    @classmethod
    def of(cls, action: Action) -> "PossibleAction":
        """As clients see it."""
        return cls(
            action=action.action, title=action.title, step=action.at, effect=action.effect.value, outcomes=list(action.outcomes),
            needs_reason=action.needs_reason,
        )  # fmt: skip


class CaseSummary(Shown):
    """办件。"""

    id: UUID = Field(description="标识")
    case_number: str = Field(description="办件编号")
    matter_code: str | None = Field(description="实施编码")
    matter_name: str | None = Field(description="事项名称")
    unit_code: str = Field(description="办理单位")
    phase: str = Field(description="阶段：draft、received、returned、correcting、in_approval、completed、closed")
    received_at: dt.datetime | None = Field(description="收件时间")
    accepted_at: dt.datetime | None = Field(description="受理时间")
    completed_at: dt.datetime | None = Field(description="办结时间")
    outcome_code: str | None = Field(description="办理结果（码表 L.outcome）")
    due_on: dt.date | None = Field(description="办结的到期日：有承诺时限的按承诺，否则按法定")
    provisional_due_on: dt.date | None = Field(description="暂定到期日：年历未公布时按周末推算，不据以认定超期")
    due_null_reason: str | None = Field(description="没有到期日的原因：not_accepted 尚未受理，no_limit 无时限，calendar_unpublished 年历未公布，suspended 特别程序中暂停计时")
    is_suspended: bool = Field(description="特别程序进行中")
    version: int = Field(description="版本，与 ETag 相同")


class OpenTask(BaseModel):
    """办件中的一个待办。"""

    id: UUID = Field(description="标识")
    step: str = Field(description="环节")
    title: str = Field(description="环节名称")
    role: str = Field(description="由谁办理")
    unit_code: str = Field(description="单位")
    assignee: str | None = Field(description="领取人")
    due_on: dt.date | None = Field(description="这一环节的到期日：受理、补正、办结、送达各按其时限")
    provisional_due_on: dt.date | None = Field(description="暂定到期日：年历未公布时按周末推算，不据以认定超期")
    due_null_reason: str | None = Field(description="没有到期日的原因：no_limit 无时限，calendar_unpublished 年历未公布，suspended 特别程序中暂停计时")


class CaseDetail(CaseSummary):
    """办件及其待办和可办理的动作。"""

    applicant_id: UUID | None = Field(description="申请人；无权查看时为空")
    agent_id: UUID | None = Field(description="代理人；无权查看时为空")
    channel_code: str | None = Field(description="渠道")
    process: str = Field(description="流程代码")
    process_number: int = Field(description="流程版本")
    is_commitment: bool = Field(description="告知承诺")
    is_deemed_accepted: bool = Field(description="视为受理")
    is_extended: bool = Field(description="已延长")
    missing: list[str] = Field(description="容缺的材料")
    due_basis: str | None = Field(description="到期日的依据：promised 承诺，statutory 法定")
    promised_due_on: dt.date | None = Field(description="承诺到期日")
    statutory_due_on: dt.date | None = Field(description="法定到期日")
    delivery_due_on: dt.date | None = Field(description="准予许可后颁发、送达证件的到期日（行政许可法第四十四条）")
    lapse: str | None = Field(
        description="到期未办会自动发生的事：deemed_accepted 视为受理，correction_lapsed 逾期未补正，tolerance_lapsed 容缺材料逾期未补齐而终止，silence 视为准予"
    )
    lapses_on: dt.date | None = Field(description="在此日之前（含当日）办理即不会自动发生")
    expires_on: dt.date | None = Field(description="要延续的证件的有效期截止日")
    is_renewal_in_time: bool | None = Field(description="延续是否在法定期限之前提出；为 false 的，逾期未决定不视为准予（行政许可法第五十条）")
    form: dict[str, Any] | None = Field(description="申请内容，对工作人员号码脱敏；无权查看时为空")
    is_form_hidden: bool = Field(description="申请内容因权限未显示")
    tasks: list[OpenTask] = Field(description="待办")
    possible: list[PossibleAction] = Field(description="您此刻可以办理的动作")

    @classmethod
    def of_look(cls, seen: Look) -> "CaseDetail":
        """As clients see it."""
        row = seen.case
        columns = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name) and name != "form"} | asdict(seen.terms)
        if seen.is_applicant_hidden:
            columns |= {"applicant_id": None, "agent_id": None}
        tasks = [
            OpenTask(
                id=task.id, step=task.step, title=seen.process.step(task.step).title, role=task.role, unit_code=task.unit_code, assignee=task.assignee,
                due_on=task.due_on, provisional_due_on=task.provisional_due_on, due_null_reason=task.due_null_reason,
            )
            for task in seen.tasks
        ]  # fmt: skip
        return cls(
            **columns, form=seen.form, is_form_hidden=seen.is_form_hidden, tasks=tasks, possible=[PossibleAction.of(a) for a in seen.possible]
        )  # fmt: skip


class CaseEventItem(Shown):
    """办件的一个环节：谁、何时、从哪里到哪里、为何、依据什么。"""

    sequence: int = Field(description="序号")
    activity: str = Field(description="活动（码表 L.activity）")
    action: str = Field(description="动作")
    step: str | None = Field(description="环节")
    occurred_at: dt.datetime = Field(description="时间")
    phase_before: str = Field(description="之前的阶段")
    phase_after: str = Field(description="之后的阶段")
    role: str = Field(description="以何角色")
    actor: str = Field(description="何人；无权知道是哪一方时为 party")
    actor_name: str | None = Field(description="工作人员的姓名或系统的名称；申请人一方及无权查看时为空")
    authority: str = Field(description="依据")
    unit_code: str = Field(description="单位")
    reason: str | None = Field(description="理由")
    special_kind: str | None = Field(description="特别程序的种类（码表 L.special_kind）")
    has_written_notice: bool | None = Field(description="特别程序已书面告知")
    extension_days: int | None = Field(description="延长的天数")
    missing: list[str] = Field(description="此后容缺的材料")
    documents: list[str] = Field(description="出具的文书")


class CaseParameters(PageParameters):
    """办件列表的条件。"""

    case_number: Code | None = Field(None, description="办件编号")
    phase: Code | None = Field(None, description="阶段")
    matter_code: Code | None = Field(None, description="实施编码")
    unit_code: Code | None = Field(None, description="办理单位")
    applicant_id: UUID | None = Field(None, description="申请人；由 /api/v1/parties/search 按证件号码或电话查得。无权知道申请人的办件不在其中")
    due_from: dt.date | None = Field(None, description="到期日不早于此日")
    due_to: dt.date | None = Field(None, description="到期日不晚于此日")
    received_from: dt.date | None = Field(None, description="收件日不早于此日")
    received_to: dt.date | None = Field(None, description="收件日不晚于此日")

    def filter(self, zone: dt.tzinfo) -> CaseFilter:
        """For the service; days are the city's."""
        plain = self.model_dump(exclude={"limit", "cursor", "received_from", "received_to"})
        start, end = span(self.received_from, self.received_to, zone)
        return CaseFilter(**plain, received_from=start, received_before=end)


class TaskItem(BaseModel):
    """待办。"""

    id: UUID = Field(description="标识")
    case_id: UUID = Field(description="办件")
    case_number: str = Field(description="办件编号")
    matter_name: str | None = Field(description="事项名称")
    phase: str = Field(description="阶段")
    is_suspended: bool = Field(description="特别程序进行中")
    received_at: dt.datetime | None = Field(description="收件时间")
    step: str = Field(description="环节")
    step_title: str = Field(description="环节名称")
    role: str = Field(description="由谁办理")
    unit_code: str = Field(description="单位")
    assignee: str | None = Field(description="领取人")
    opened_at: dt.datetime = Field(description="开始时间")
    due_on: dt.date | None = Field(description="这一环节的到期日：受理、补正、办结、送达各按其时限")
    provisional_due_on: dt.date | None = Field(description="暂定到期日：年历未公布时按周末推算，不据以认定超期")
    due_null_reason: str | None = Field(description="没有到期日的原因：no_limit 无时限，calendar_unpublished 年历未公布，suspended 特别程序中暂停计时")

    @classmethod
    def of(cls, row: TaskRow) -> "TaskItem":
        """As work lists show it."""
        task = row.task
        return cls(
            id=task.id, case_id=task.case_id, case_number=row.case_number, matter_name=row.matter_name, phase=row.phase, is_suspended=row.is_suspended,
            received_at=row.received_at, step=task.step, step_title=row.step_title, role=task.role, unit_code=task.unit_code, assignee=task.assignee, opened_at=task.opened_at,
            due_on=task.due_on, provisional_due_on=task.provisional_due_on, due_null_reason=task.due_null_reason,
        )  # fmt: skip


class ClaimedTask(BaseModel):
    """领取或释放后的待办。"""

    id: UUID = Field(description="标识")
    assignee: str | None = Field(description="领取人")


class TaskParameters(PageParameters):
    """待办列表的条件。"""

    role: Code | None = Field(None, description="由谁办理")
    unit_code: Code | None = Field(None, description="单位")
    is_mine: bool | None = Field(None, description="true 只看自己领取的，false 不看")
    due_before: dt.date | None = Field(None, description="在此日之前到期")

    def filter(self) -> TaskFilter:
        """For the service."""
        return TaskFilter(**self.model_dump(exclude={"limit", "cursor"}))
