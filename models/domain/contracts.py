"""Data contracts of the synchronised subjects, from GB/T 39046-2020.

Each contract is a pydantic model whose fields carry a :class:`Column`: the Chinese title, the item of
GB/T 39046 it stands for (or that it is an extension), its code table and whether it is personal data.
:mod:`models.domain.schema` compiles a contract to an Arrow schema and to SQL; pydantic itself never
loops over warehouse rows. What does not belong here: rules about values (they are in ``quality``).
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

NO_END = "长期"
"""What stands in place of a last day where there is none; without it a day that is not there is missing."""


class Personal(StrEnum):
    """How a field that holds personal data leaves the working file.

    ``NAME``, ``PHONE`` and ``TEXT`` are masked; an ``IDENTIFIER`` is validated, digested (HMAC-SHA256)
    and masked in the sync, so that the warehouse can join on it without holding it.
    """

    NAME = "name"
    IDENTIFIER = "identifier"
    PHONE = "phone"
    TEXT = "text"


@dataclass(frozen=True)
class Column:
    """What a field of a contract means.

    Attributes:
        title: The Chinese name that people see.
        item: The item of GB/T 39046-2020 as ``"<table number>.<seq>"`` (for example ``"5.1"``);
            None marks an extension.
        code_table: Name of the code table whose codes the field holds.
        personal: Kind of personal data, None for none.
        key: Part of the subject's natural key.
        description: One English sentence, with the unit where there is one.
        no_end: Of a last day: the flag of the same contract that is true where the source says :data:`NO_END` in its place.
            Where the source has no column for the flag, the sync tells it from that of the day.
    """

    title: str
    item: str | None = None
    code_table: str | None = None
    personal: Personal | None = None
    key: bool = False
    description: str = ""
    no_end: str | None = None


class Contract(BaseModel):
    """Base of all contracts: unknown fields are refused, instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Text = str | None
Whole = int | None
Flag = bool | None
Day = date | None
Instant = datetime | None
Money = Decimal | None


class CalendarDay(Contract):
    """A working day or rest day that the city decided over the official calendar, of a coming year, or for a day of its own (local extension).

    A year after the last one that the official calendar knows counts as published once its 31 December is decided.
    """

    day: Annotated[date, Column("日期", key=True)]
    is_working: Annotated[Flag, Column("是否上班", description="Null: as the official calendar has it.")] = None
    reason: Annotated[Text, Column("依据", description="Document that says so, with number and date.")] = None
    updated_at: Annotated[Instant, Column("更新时间")] = None


class Region(Contract):
    """A division, street or village (GB/T 2260 and its extensions), or an area that has no division code."""

    region_code: Annotated[str, Column("区划代码", key=True, description="GB/T 2260 six digits, streets nine, villages twelve.")]
    region_name: Annotated[Text, Column("区划名称")] = None
    parent_code: Annotated[Text, Column("上级区划代码", description="Region one level up.")] = None
    region_level_code: Annotated[Text, Column("区划层级", code_table="L.region_level")] = None
    division_code: Annotated[
        Text, Column("所属行政区划", description="GB/T 2260 division covering a region that has no code of its own.")
    ] = None
    effective_from: Annotated[Day, Column("生效日期")] = None
    effective_to: Annotated[Day, Column("失效日期", description="First day on which it is no longer in force.")] = None
    successor_code: Annotated[
        Text, Column("后继区划代码", description="Region that takes its place from effective_to on; several, comma-separated, where it is split.")
    ] = None
    updated_at: Annotated[Instant, Column("更新时间")] = None


class AreaRegion(Contract):
    """A dated statement that an area covers a division or street: what an area without a division code is made of.

    A division or street covers what lies beneath it in the code (GB/T 2260). A street that leaves and comes back has two rows.
    """

    area_code: Annotated[str, Column("区域代码", key=True, description="Region code of the area, local.")]
    region_code: Annotated[str, Column("区划代码", key=True, description="Division or street that the area covers.")]
    valid_from: Annotated[date, Column("划入日期", key=True, description="First day on which the area covers it.")]
    valid_to: Annotated[Day, Column("划出日期", description="First day on which the area no longer covers it.")] = None
    statement: Annotated[Text, Column("划定依据", description="Document that says so, with number and date.")] = None
    is_assumed: Annotated[Flag, Column("是否推定", description="Not read in the document itself: to be confirmed.")] = None
    updated_at: Annotated[Instant, Column("更新时间")] = None


class Department(Contract):
    """A bureau, street office or outside body that accepts or decides cases."""

    department_code: Annotated[str, Column("部门代码", key=True, description="Unified credit code where the source has one.")]
    department_name: Annotated[Text, Column("部门名称")] = None
    department_kind_code: Annotated[Text, Column("部门类别", code_table="L.department_kind")] = None
    region_code: Annotated[Text, Column("区划代码")] = None
    parent_code: Annotated[Text, Column("上级部门代码")] = None
    sort_order: Annotated[Whole, Column("排序")] = None
    effective_from: Annotated[Day, Column("生效日期")] = None
    effective_to: Annotated[Day, Column("失效日期", description="First day on which it is no longer in force.")] = None
    successor_code: Annotated[
        Text, Column("后继部门代码", description="Department that takes its place from effective_to on; several, comma-separated, where it is split.")
    ] = None
    updated_at: Annotated[Instant, Column("更新时间")] = None


class Window(Contract):
    """A service window of a hall."""

    window_code: Annotated[str, Column("窗口编号", key=True)]
    window_name: Annotated[Text, Column("窗口名称")] = None
    department_code: Annotated[Text, Column("部门代码")] = None
    region_code: Annotated[Text, Column("区划代码")] = None
    hall_name: Annotated[Text, Column("大厅名称")] = None
    floor: Annotated[Whole, Column("楼层")] = None
    is_general: Annotated[Flag, Column("是否综合窗口")] = None
    updated_at: Annotated[Instant, Column("更新时间")] = None


class Material(Contract):
    """A material that a matter asks for: an element of :attr:`Matter.materials`, not a subject of its own."""

    name: Annotated[str, Column("材料名称", item="4.56")]
    issuer: Annotated[Text, Column("出具机构", item="4.57")] = None
    issue_requirement: Annotated[Text, Column("出具时间要求", item="4.58")] = None
    handling_note: Annotated[Text, Column("材料办理说明", item="4.59")] = None
    place: Annotated[Text, Column("材料办理地点", item="4.60")] = None
    use_note: Annotated[Text, Column("材料使用说明", item="4.61")] = None
    original_copies: Annotated[Whole, Column("原件份数", item="4.62", description="Number of originals.")] = None
    photocopies: Annotated[Whole, Column("复印件份数", item="4.63", description="Number of photocopies.")] = None
    is_required: Annotated[Flag, Column("是否必备材料", item="4.64")] = None


class Matter(Contract):
    """An implementation-list matter 事项 (GB/T 39046-2020 table 4)."""

    matter_code: Annotated[str, Column("实施编码", item="4.3", key=True, description="Whole text, 23–55 characters in real data; never truncated.")]
    basic_code: Annotated[Text, Column("基本编码", item="4.2")] = None
    matter_name: Annotated[Text, Column("事项名称", item="4.1")] = None
    type_code: Annotated[Text, Column("事项类型代码", item="4.5", code_table="A.1")] = None
    legal_basis: Annotated[Text, Column("设定依据", item="4.6")] = None
    level_code: Annotated[Text, Column("行使层级代码", item="4.8", code_table="A.2")] = None
    department_name: Annotated[Text, Column("实施主体", item="4.11")] = None
    department_code: Annotated[Text, Column("实施主体代码", item="4.12", description="Key into departments.")] = None
    source_department_code: Annotated[Text, Column("来源部门编号", description="The source's own number of the department, kept for the cross-walk.")] = None
    body_nature_code: Annotated[Text, Column("实施主体性质代码", item="4.14", code_table="A.3")] = None
    statutory_limit: Annotated[Whole, Column("法定办结时限", item="4.15", description="In units of statutory_limit_unit.")] = None
    statutory_limit_unit: Annotated[Text, Column("法定办结时限单位", item="4.16", code_table="L.limit_unit")] = None
    promised_limit: Annotated[Whole, Column("承诺办结时限", item="4.18", description="In units of promised_limit_unit.")] = None
    promised_limit_unit: Annotated[Text, Column("承诺办结时限单位", item="4.19", code_table="L.limit_unit")] = None
    acceptance_conditions: Annotated[Text, Column("受理条件", item="4.21")] = None
    procedure: Annotated[Text, Column("办理流程", item="4.22")] = None
    result_name: Annotated[Text, Column("结果名称", item="4.29")] = None
    is_fee_charged: Annotated[Flag, Column("是否收费", item="4.31")] = None
    fee_basis: Annotated[Text, Column("收费依据", item="4.32")] = None
    service_object_codes: Annotated[Text, Column("服务对象代码", item="4.35", description="Codes of table A.4, comma-separated.")] = None
    theme: Annotated[Text, Column("服务主题", item="4.36")] = None
    handling_form_codes: Annotated[Text, Column("办理形式代码", item="4.40", description="Codes of table A.5, comma-separated.")] = None
    special_procedures: Annotated[Text, Column("特别程序", item="4.41")] = None
    region_code: Annotated[Text, Column("行政管辖代码", item="4.43")] = None
    is_bookable: Annotated[Flag, Column("是否支持预约办理", item="4.44")] = None
    is_payable_online: Annotated[Flag, Column("是否支持网上支付", item="4.45")] = None
    is_deliverable: Annotated[Flag, Column("是否支持物流快递", item="4.46")] = None
    is_online: Annotated[Flag, Column("是否网办", item="4.47")] = None
    service_place: Annotated[Text, Column("办理地点", item="4.50")] = None
    service_hours: Annotated[Text, Column("办理时间", item="4.51")] = None
    consultation_phone: Annotated[Text, Column("咨询电话", item="4.53")] = None
    supervision_phone: Annotated[Text, Column("监督电话", item="4.54")] = None
    materials: Annotated[Text, Column("材料", description="JSON array of Material (items 4.56–4.64).")] = None
    case_kind_code: Annotated[Text, Column("办件类型代码", code_table="A.6")] = None
    trips: Annotated[Whole, Column("到现场次数", description="Visits an applicant must make.")] = None
    is_one_window: Annotated[Flag, Column("是否进综合窗口")] = None
    has_certificate: Annotated[Flag, Column("结果是否为证照", description="The result is of a kind that has a certificate.")] = None
    clock_start_code: Annotated[Text, Column("时限起算", code_table="L.clock_start")] = None
    is_joint: Annotated[Flag, Column("是否联合办理", description="Joint handling, Administrative Licence Law art. 42(2).")] = None
    extension_cap: Annotated[Whole, Column("延长上限", description="Longest extension, in the statutory unit; null: the law's default.")] = None
    is_publication_excluded: Annotated[Flag, Column("公示不计入时限", description="A special law or the published guide says that publication stops the clock.")] = None
    version: Annotated[Text, Column("版本号")] = None
    effective_from: Annotated[Day, Column("生效日期")] = None
    effective_to: Annotated[Day, Column("失效日期", description="First day on which it is no longer in force.")] = None
    matter_state_code: Annotated[Text, Column("事项状态", code_table="L.matter_state")] = None
    updated_at: Annotated[Instant, Column("更新时间")] = None


class Case(Contract):
    """A case 办件: application, acceptance and completion (GB/T 39046-2020 tables 5, 6 and 8)."""

    case_number: Annotated[str, Column("办件编号", item="5.1", key=True)]
    matter_code: Annotated[Text, Column("实施编码", item="5.2")] = None
    matter_name: Annotated[Text, Column("事项名称", item="5.3")] = None
    case_kind_code: Annotated[Text, Column("办件类型代码", item="5.5", code_table="A.6")] = None
    applicant_name: Annotated[Text, Column("申请者名称", item="5.6", personal=Personal.NAME)] = None
    applicant_id_type_code: Annotated[Text, Column("申请者证件类型代码", item="5.7", code_table="L.id_type")] = None
    applicant_id: Annotated[Text, Column("申请者证件号码", item="5.8", personal=Personal.IDENTIFIER)] = None
    contact_name: Annotated[Text, Column("联系人/代理人姓名", item="5.9", personal=Personal.NAME)] = None
    contact_id_type_code: Annotated[Text, Column("联系人/代理人证件类型代码", item="5.10", code_table="L.id_type")] = None
    contact_id: Annotated[Text, Column("联系人/代理人证件号码", item="5.11", personal=Personal.IDENTIFIER)] = None
    contact_phone: Annotated[Text, Column("联系人手机号码", item="5.12", personal=Personal.PHONE)] = None
    postcode: Annotated[Text, Column("邮政编码", item="5.13")] = None
    address: Annotated[Text, Column("通讯地址", item="5.14", personal=Personal.TEXT)] = None
    legal_representative: Annotated[Text, Column("法定代表人", item="5.15", personal=Personal.NAME)] = None
    channel_code: Annotated[Text, Column("申报来源代码", item="5.16", code_table="L.channel", description="Table A.5 with local extensions.")] = None
    applied_at: Annotated[Instant, Column("申请时间", item="5.17")] = None
    project_code: Annotated[Text, Column("投资项目编号", item="5.18")] = None
    region_code: Annotated[Text, Column("行政区划", item="5.19")] = None
    received_at: Annotated[Instant, Column("收件时间", description="When the materials arrived; applied_at where the source has no such instant.")] = None
    department_name: Annotated[Text, Column("受理单位名称", item="6.5")] = None
    department_code: Annotated[Text, Column("受理单位统一社会信用代码", item="6.6")] = None
    accepted_by: Annotated[Text, Column("受理人员", item="6.7", personal=Personal.NAME)] = None
    accepted_at: Annotated[Instant, Column("受理时间", item="6.8")] = None
    acceptance_number: Annotated[Text, Column("受理文书编号", item="6.9")] = None
    source_promised_due_on: Annotated[Day, Column("承诺办结时间", item="6.10", description="As the source computed it; the platform's own clock decides.")] = None
    completed_by: Annotated[Text, Column("办理人姓名", item="8.2", personal=Personal.NAME)] = None
    completed_at: Annotated[Instant, Column("办结时间", item="8.3")] = None
    result_certificate_name: Annotated[Text, Column("结果证照名称", item="8.4")] = None
    result_certificate_number: Annotated[Text, Column("结果证照编号", item="8.5")] = None
    result_description: Annotated[Text, Column("办件结果描述", item="8.6", personal=Personal.TEXT)] = None
    result_validity: Annotated[Text, Column("证照有效期限", item="8.7")] = None
    result_issuer: Annotated[Text, Column("发证/盖章单位", item="8.8")] = None
    is_result_posted: Annotated[Flag, Column("是否快递寄送结果", item="8.10")] = None
    is_fee_charged: Annotated[Flag, Column("是否收费", item="8.11")] = None
    outcome_code: Annotated[Text, Column("办结结果", code_table="L.outcome")] = None
    source_due_at: Annotated[Instant, Column("来源到期时刻", description="A deadline that the source itself sets: compared as an instant, before any clock of ours.")] = None
    source_planned_at: Annotated[Instant, Column("来源计划办结时刻", description="When the source planned to complete the case; kept beside the deadline, no clock uses it.")] = None
    window_code: Annotated[Text, Column("窗口编号")] = None
    is_commitment: Annotated[Flag, Column("是否告知承诺")] = None
    is_tolerance: Annotated[Flag, Column("是否容缺受理")] = None
    reported_at: Annotated[Instant, Column("上报时间", description="When the case was reported to the level above.")] = None
    updated_at: Annotated[Instant, Column("更新时间")] = None


class CaseEvent(Contract):
    """A step of a case (GB/T 39046-2020 table 7), one row a step."""

    case_number: Annotated[str, Column("办件编号", item="7.1", key=True)]
    sequence: Annotated[Whole, Column("序号", key=True, description="Order within the case, from 1; derived from time and file order where the source has none.")] = None
    event_code: Annotated[Text, Column("环节编号", description="The source's own identifier of the step.")] = None
    activity_code: Annotated[Text, Column("环节代码", code_table="L.activity")] = None
    activity: Annotated[Text, Column("环节名称", item="7.3")] = None
    action: Annotated[Text, Column("业务动作", item="7.2")] = None
    actor: Annotated[Text, Column("环节处理人", item="7.4", personal=Personal.NAME)] = None
    opinion: Annotated[Text, Column("环节处理意见", item="7.5", personal=Personal.TEXT)] = None
    occurred_at: Annotated[Instant, Column("环节开始时间", item="7.6")] = None
    ended_at: Annotated[Instant, Column("环节结束时间", item="7.7")] = None
    department_name: Annotated[Text, Column("处理单位名称", item="7.8")] = None
    department_code: Annotated[Text, Column("处理单位统一社会信用代码", item="7.9")] = None
    step_state_code: Annotated[Text, Column("环节办理状态代码", item="7.10", code_table="L.step_state")] = None
    special_name: Annotated[Text, Column("特别程序种类名称", item="7.11")] = None
    special_code: Annotated[Text, Column("特别程序种类代码", item="7.12", code_table="A.7")] = None
    special_started_at: Annotated[Instant, Column("特别程序开始时间", item="7.13")] = None
    special_reason: Annotated[Text, Column("特别程序启动理由或依据", item="7.14", personal=Personal.TEXT)] = None
    special_ended_at: Annotated[Instant, Column("特别程序结束时间", item="7.16")] = None
    special_result: Annotated[Text, Column("特别程序结果", item="7.17", personal=Personal.TEXT)] = None
    special_kind_code: Annotated[Text, Column("特别程序事由", code_table="L.special_kind", description="Closed list of Administrative Licence Law art. 45, and publication.")] = None
    has_written_notice: Annotated[Flag, Column("是否书面告知", description="The applicant was told in writing; null where the source does not say.")] = None
    extension_days: Annotated[Whole, Column("延长期限", description="In the unit of the matter's limit.")] = None
    window_code: Annotated[Text, Column("窗口编号")] = None
    updated_at: Annotated[Instant, Column("更新时间")] = None


class Certificate(Contract):
    """An electronic certificate 电子证照 (GB/T 36901–36906-2018; result items of GB/T 39046-2020 table 8)."""

    certificate_id: Annotated[str, Column("电子证照标识", key=True, description="GB/T 36904-2018 identifier.")]
    certificate_type_code: Annotated[Text, Column("证照类型代码")] = None
    certificate_name: Annotated[Text, Column("证照名称", item="8.4")] = None
    certificate_number: Annotated[Text, Column("证照编号", item="8.5")] = None
    holder_name: Annotated[Text, Column("持证者名称", personal=Personal.NAME)] = None
    holder_id_type_code: Annotated[Text, Column("持证者证件类型代码", code_table="L.id_type")] = None
    holder_id: Annotated[Text, Column("持证者证件号码", personal=Personal.IDENTIFIER)] = None
    issuer_name: Annotated[Text, Column("发证单位", item="8.8")] = None
    issuer_code: Annotated[Text, Column("发证单位统一社会信用代码")] = None
    issued_on: Annotated[Day, Column("发证日期")] = None
    valid_from: Annotated[Day, Column("有效期起")] = None
    valid_to: Annotated[Day, Column("有效期止", no_end="is_long_term", description="Last day of validity; null where there is none or it is missing.")] = None
    is_long_term: Annotated[
        Flag, Column("是否长期有效", description="The source says 长期 in place of the last day; null in rows that were read before it was told apart.")
    ] = None
    certificate_state_code: Annotated[Text, Column("证照状态", code_table="L.certificate_state")] = None
    case_number: Annotated[Text, Column("办件编号", item="8.1")] = None
    file_hash: Annotated[Text, Column("文件摘要")] = None
    updated_at: Annotated[Instant, Column("更新时间")] = None


class Review(Contract):
    """A review 好差评 of one service of a case (GB/T 39046-2020 table 9, GB/T 39734-2020)."""

    review_id: Annotated[str, Column("评价编号", key=True)]
    case_number: Annotated[Text, Column("办件编号", item="9.1")] = None
    review_channel_code: Annotated[Text, Column("评价渠道", item="9.2", code_table="L.review_channel")] = None
    reviewer_name: Annotated[Text, Column("评价人", item="9.3", personal=Personal.NAME)] = None
    reviewed_at: Annotated[Instant, Column("评价时间", item="9.4")] = None
    review_round: Annotated[Whole, Column("评价次数", item="9.5")] = None
    satisfaction_code: Annotated[Text, Column("满意度代码", item="9.7", code_table="A.8", description="1 is 非常满意, 5 is 非常不满意.")] = None
    comment: Annotated[Text, Column("文字评价", item="9.8", personal=Personal.TEXT)] = None
    region_code: Annotated[Text, Column("行政区划", item="9.9")] = None
    department_code: Annotated[Text, Column("部门代码")] = None
    is_default: Annotated[Flag, Column("是否默认评价", description="No review was given in time; never counted as active.")] = None
    is_anonymous: Annotated[Flag, Column("是否匿名")] = None
    visited_at: Annotated[Instant, Column("回访时间")] = None
    rectify_due_on: Annotated[Day, Column("整改期限")] = None
    rectified_at: Annotated[Instant, Column("整改完成时间")] = None
    follows_review_id: Annotated[Text, Column("原评价编号", description="The review that this one follows up.")] = None
    updated_at: Annotated[Instant, Column("更新时间")] = None


SUBJECTS: dict[str, type[Contract]] = {
    "calendar_day": CalendarDay,
    "region": Region,
    "area_region": AreaRegion,
    "department": Department,
    "window": Window,
    "matter": Matter,
    "case": Case,
    "case_event": CaseEvent,
    "certificate": Certificate,
    "review": Review,
}
"""The synchronised subjects, in the order in which they refer to each other."""

SUBJECT_TITLES: dict[str, str] = {
    "calendar_day": "工作日调整",
    "region": "区划",
    "area_region": "区域构成",
    "department": "部门",
    "window": "窗口",
    "matter": "事项",
    "case": "办件",
    "case_event": "办件环节",
    "certificate": "电子证照",
    "review": "好差评",
}


def column(field: FieldInfo) -> Column:
    """The :class:`Column` of a contract's field."""
    return next(m for m in field.metadata if isinstance(m, Column))


def columns(contract: type[Contract]) -> dict[str, Column]:
    """Field name → :class:`Column`, in the contract's order."""
    return {name: column(field) for name, field in contract.model_fields.items()}


def python_type(field: FieldInfo) -> type[Any]:
    """The field's type without its ``None``."""
    arguments = [a for a in get_args(field.annotation) if a is not type(None)]
    return arguments[0] if arguments else field.annotation  # type: ignore[return-value]


def key_of(contract: type[Contract]) -> list[str]:
    """Names of the fields that make the natural key."""
    return [name for name, c in columns(contract).items() if c.key]
