"""What the warehouse API answers, for its documentation and its tests.

Answers go out as the snapshot has them, without a pass through these models: a test holds them to the marts'
contracts. Every field may be null. What does not belong here: parameters (:mod:`serving.api.warehouse.parameters`).
"""

import datetime as dt
from typing import Generic, TypeVar

from pydantic import BaseModel, Field

Row = TypeVar("Row", bound=BaseModel)


class Page(BaseModel, Generic[Row]):
    """列表的一页。"""

    as_of: dt.datetime = Field(description="数据截止时刻")
    run_id: str = Field(description="发布数据的运行编号")
    items: list[Row] = Field(description="本页各行")
    next: str | None = Field(description="下一页的游标；最后一页为空")
    count: int | None = Field(description="符合条件的总行数；仅 count=true 时给出")


class Item(BaseModel, Generic[Row]):
    """一行及其明细。"""

    as_of: dt.datetime = Field(description="数据截止时刻")
    run_id: str = Field(description="发布数据的运行编号")
    item: Row


class Matter(BaseModel):
    """事项。"""

    source: str | None = Field(description="数据源名称")
    matter_code: str | None = Field(description="实施编码")
    basic_code: str | None = Field(description="基本编码")
    matter_name: str | None = Field(description="事项名称")
    type_code: str | None = Field(description="事项类型代码（表 A.1）")
    level_code: str | None = Field(description="行使层级代码（表 A.2）")
    department_code: str | None = Field(description="实施主体代码")
    department_name: str | None = Field(description="部门名称")
    statutory_limit: int | None = Field(description="法定办结时限")
    statutory_limit_unit: str | None = Field(description="法定办结时限单位（码表 L.limit_unit）")
    promised_limit: int | None = Field(description="承诺办结时限")
    promised_limit_unit: str | None = Field(description="承诺办结时限单位（码表 L.limit_unit）")
    clock_start_code: str | None = Field(description="时限起算（码表 L.clock_start）")
    case_kind_code: str | None = Field(description="办件类型代码（表 A.6）")
    is_online: bool | None = Field(description="是否网办")
    trips: int | None = Field(description="到现场次数")
    handling_form_codes: str | None = Field(description="办理形式代码")
    service_object_codes: str | None = Field(description="服务对象代码")
    theme: str | None = Field(description="服务主题")
    is_fee_charged: bool | None = Field(description="是否收费")
    is_one_window: bool | None = Field(description="是否进综合窗口")
    is_joint: bool | None = Field(description="是否联合办理")
    has_certificate: bool | None = Field(description="结果是否为证照")
    result_name: str | None = Field(description="结果名称")
    materials: str | None = Field(description="材料")
    material_count: int | None = Field(description="材料数")
    legal_basis: str | None = Field(description="设定依据")
    body_nature_code: str | None = Field(description="实施主体性质代码")
    acceptance_conditions: str | None = Field(description="受理条件")
    procedure: str | None = Field(description="办理流程")
    fee_basis: str | None = Field(description="收费依据")
    service_place: str | None = Field(description="办理地点")
    service_hours: str | None = Field(description="办理时间")
    consultation_phone: str | None = Field(description="咨询电话")
    supervision_phone: str | None = Field(description="监督电话")
    region_code: str | None = Field(description="行政管辖代码")
    version: str | None = Field(description="版本号")
    effective_from: dt.date | None = Field(description="生效日期")
    effective_to: dt.date | None = Field(description="失效日期")
    matter_state_code: str | None = Field(description="事项状态（码表 L.matter_state）")
    updated_at: dt.datetime | None = Field(description="更新时间")


class Department(BaseModel):
    """部门。"""

    source: str | None = Field(description="数据源名称")
    department_code: str | None = Field(description="部门代码")
    department_name: str | None = Field(description="部门名称")
    department_kind_code: str | None = Field(description="部门类别（码表 L.department_kind）")
    region_code: str | None = Field(description="区划代码")
    parent_code: str | None = Field(description="上级部门代码")
    sort_order: int | None = Field(description="排序")
    effective_from: dt.date | None = Field(description="生效日期")
    effective_to: dt.date | None = Field(description="失效日期")
    successor_code: str | None = Field(description="后继部门代码；拆分时为多个，以逗号分隔")
    current_code: str | None = Field(description="现部门代码：沿后继关系到数据截止时的部门；拆分后为空")
    succession_state: str | None = Field(
        description="沿革状态：current 现行、succeeded 已并入或更名、split 已拆分、cycle 后继成环、successor_unknown 后继未登记"
    )


class Case(BaseModel):
    """办件。"""

    source: str | None = Field(description="数据源名称")
    case_number: str | None = Field(description="办件编号")
    matter_code: str | None = Field(description="实施编码")
    matter_name: str | None = Field(description="事项名称")
    type_code: str | None = Field(description="事项类型代码（表 A.1）")
    department_code: str | None = Field(description="受理单位统一社会信用代码")
    current_department_code: str | None = Field(description="现部门代码：受理单位合并、更名后的部门；未变更或拆分时同受理单位")
    is_department_stated: bool | None = Field(description="办件是否写明受理单位")
    department_name: str | None = Field(description="受理单位名称")
    region_code: str | None = Field(description="行政区划")
    window_code: str | None = Field(description="窗口编号")
    channel_code: str | None = Field(description="申报来源代码（码表 L.channel）")
    case_kind_code: str | None = Field(description="办件类型代码（表 A.6）")
    outcome_code: str | None = Field(description="办结结果（码表 L.outcome）")
    applicant_id_type_code: str | None = Field(description="申请者证件类型代码（码表 L.id_type）")
    applicant_name_masked: str | None = Field(description="申请者名称（个人已脱敏）")
    applicant_id_masked: str | None = Field(description="申请者证件号码（已脱敏）")
    applicant_id_digest: str | None = Field(description="申请者证件号码摘要（HMAC-SHA256），可关联同一申请者的办件")
    applicant_id_is_valid: bool | None = Field(description="证件号码校验是否通过；无规则为空")
    applicant_name_flaw: str | None = Field(description="申请者名称的问题：spaces（多余空格）、garbled（乱码）、placeholder（占位文字）、characters（夹有数字或字母）、short（过短）")
    contact_id_is_valid: bool | None = Field(description="联系人证件号码是否有效")
    contact_phone_flaw: str | None = Field(description="联系人手机号码的问题：missing（缺失）、characters（非法字符）、length（位数）、form（号段）")
    project_code: str | None = Field(description="投资项目编号")
    is_commitment: bool | None = Field(description="是否告知承诺")
    is_tolerance: bool | None = Field(description="是否容缺受理")
    applied_at: dt.datetime | None = Field(description="申请时间")
    received_at: dt.datetime | None = Field(description="收件时间")
    received_on: dt.date | None = Field(description="收件日")
    accepted_at: dt.datetime | None = Field(description="受理时间（生效）：逾期未告知的，自收件之日起即为受理")
    recorded_accepted_at: dt.datetime | None = Field(description="来源记录的受理时间：上报以此为准")
    accepted_on: dt.date | None = Field(description="受理日（生效）")
    is_deemed_accepted: bool | None = Field(description="是否视为受理")
    due_at: dt.datetime | None = Field(description="到期时刻：来源自带的期限，其次承诺期限，再次法定期限")
    due_on: dt.date | None = Field(description="到期日")
    due_basis: str | None = Field(description="期限依据：source 来源、promised 承诺、statutory 法定")
    due_null_reason: str | None = Field(description="没有期限的原因：no_limit 无时限、not_accepted 未受理、calendar_unpublished 工作日历未公布")
    provisional_due_on: dt.date | None = Field(description="暂定到期日（仅按周末推算）")
    promised_due_on: dt.date | None = Field(description="承诺到期日")
    statutory_due_on: dt.date | None = Field(description="法定到期日")
    delivery_due_on: dt.date | None = Field(description="送达到期日（行政许可法第四十四条）")
    source_planned_at: dt.datetime | None = Field(description="来源计划办结时刻")
    completed_at: dt.datetime | None = Field(description="办结时间")
    completed_on: dt.date | None = Field(description="办结日")
    is_completed: bool | None = Field(description="截至 as_of 是否办结")
    is_late: bool | None = Field(description="是否超期：办结晚于到期时刻，或在办且已过到期时刻；没有期限为空")
    is_statutory_late: bool | None = Field(description="是否超过法定期限")
    is_delivery_late: bool | None = Field(description="是否逾期送达")
    is_paused: bool | None = Field(description="是否正在特别程序中")
    paused_days: int | None = Field(description="特别程序扣除的工作日数")
    extension_days: int | None = Field(description="延长审批的天数")
    correction_count: int | None = Field(description="补正告知次数")
    is_told_once_in_time: bool | None = Field(description="是否五个工作日内首次告知；未补正为空")
    has_invalid_pause: bool | None = Field(description="是否有不应停表的特别程序")
    has_invalid_extension: bool | None = Field(description="是否有无效的延长审批")
    net_working_days: int | None = Field(description="净办理工作日数；在办为空")
    is_matter_known: bool | None = Field(description="事项编码是否在事项清单中")
    matter_version: str | None = Field(description="收件日适用的事项版本")
    is_matter_in_force: bool | None = Field(description="收件当日事项是否在用")
    is_end_before_start: bool | None = Field(description="是否办结早于收件")
    names_certificate: bool | None = Field(description="是否写有结果证照编号")
    acceptance_number: str | None = Field(description="受理文书编号")
    source_promised_due_on: dt.date | None = Field(description="来源记录的承诺办结时间")
    result_certificate_name: str | None = Field(description="结果证照名称")
    result_certificate_number: str | None = Field(description="结果证照编号；为身份证号码的不显示")
    result_validity: str | None = Field(description="证照有效期限")
    result_issuer: str | None = Field(description="发证/盖章单位")
    is_result_posted: bool | None = Field(description="是否快递寄送结果")
    is_fee_charged: bool | None = Field(description="是否收费")
    is_certificate_due: bool | None = Field(description="是否应产生证照")
    reported_at: dt.datetime | None = Field(description="上报时间")
    updated_at: dt.datetime | None = Field(description="更新时间")
    as_of: dt.datetime | None = Field(description="计时截止时刻")


class CaseEvent(BaseModel):
    """办件环节。"""

    source: str | None = Field(description="数据源名称")
    case_number: str | None = Field(description="办件编号")
    sequence: int | None = Field(description="序号")
    event_code: str | None = Field(description="环节编号")
    activity_code: str | None = Field(description="环节代码（码表 L.activity）")
    activity: str | None = Field(description="环节名称")
    actor_masked: str | None = Field(description="环节处理人（已脱敏）")
    occurred_at: dt.datetime | None = Field(description="环节开始时间")
    occurred_on: dt.date | None = Field(description="环节开始日")
    ended_at: dt.datetime | None = Field(description="环节结束时间")
    department_code: str | None = Field(description="处理单位统一社会信用代码")
    window_code: str | None = Field(description="窗口编号")
    step_state_code: str | None = Field(description="环节办理状态代码（码表 L.step_state）")
    special_code: str | None = Field(description="特别程序种类代码（表 A.7）")
    special_kind_code: str | None = Field(description="特别程序事由（码表 L.special_kind）")
    has_written_notice: bool | None = Field(description="是否书面告知特别程序所需时间")
    special_started_at: dt.datetime | None = Field(description="特别程序开始时间")
    special_ended_at: dt.datetime | None = Field(description="特别程序结束时间")
    extension_days: int | None = Field(description="延长期限")
    previous_sequence: int | None = Field(description="上一环节的序号")
    previous_activity_code: str | None = Field(description="上一环节的代码")
    previous_occurred_at: dt.datetime | None = Field(description="上一环节的开始时间")
    previous_ended_at: dt.datetime | None = Field(description="上一环节的结束时间")
    is_last: bool | None = Field(description="是否最后一个环节")
    is_after_case_end: bool | None = Field(description="是否发生在办结之后")


class Certificate(BaseModel):
    """证照。"""

    source: str | None = Field(description="数据源名称")
    certificate_id: str | None = Field(description="电子证照标识")
    certificate_id_is_valid: bool | None = Field(description="电子证照标识校验位是否正确")
    certificate_type_code: str | None = Field(description="证照类型代码")
    certificate_name: str | None = Field(description="证照名称")
    certificate_number: str | None = Field(description="证照编号")
    holder_name_masked: str | None = Field(description="持证者名称（个人已脱敏）")
    holder_id_type_code: str | None = Field(description="持证者证件类型代码（码表 L.id_type）")
    holder_id_masked: str | None = Field(description="持证者证件号码（已脱敏）")
    holder_id_digest: str | None = Field(description="持证者证件号码摘要")
    holder_id_is_valid: bool | None = Field(description="持证者证件号码校验是否通过")
    is_named_as_applicant: bool | None = Field(description="持证者与申请者是否同名")
    issuer_name: str | None = Field(description="发证单位")
    issuer_code: str | None = Field(description="发证单位统一社会信用代码")
    issued_on: dt.date | None = Field(description="发证日期")
    valid_from: dt.date | None = Field(description="有效期起")
    valid_to: dt.date | None = Field(description="有效期止：长期有效的、缺失的为空")
    is_long_term: bool | None = Field(description="来源是否写明长期有效")
    certificate_state_code: str | None = Field(description="证照状态（码表 L.certificate_state）")
    case_number: str | None = Field(description="办件编号")
    file_hash: str | None = Field(description="文件摘要")
    updated_at: dt.datetime | None = Field(description="更新时间")


class Review(BaseModel):
    """评价。"""

    source: str | None = Field(description="数据源名称")
    review_id: str | None = Field(description="评价编号")
    case_number: str | None = Field(description="办件编号")
    review_channel_code: str | None = Field(description="评价渠道（码表 L.review_channel）")
    reviewer_name_masked: str | None = Field(description="评价人（已脱敏）")
    reviewed_at: dt.datetime | None = Field(description="评价时间")
    reviewed_on: dt.date | None = Field(description="评价日")
    review_round: int | None = Field(description="评价次数")
    satisfaction_code: str | None = Field(description="满意度代码（表 A.8）")
    is_default: bool | None = Field(description="是否默认评价")
    is_bad: bool | None = Field(description="是否差评")
    department_code: str | None = Field(description="部门代码")
    region_code: str | None = Field(description="行政区划")
    is_anonymous: bool | None = Field(description="是否匿名")
    has_comment: bool | None = Field(description="是否有文字评价")
    visited_at: dt.datetime | None = Field(description="回访时间")
    rectify_due_on: dt.date | None = Field(description="整改期限")
    rectified_at: dt.datetime | None = Field(description="整改完成时间")
    follows_review_id: str | None = Field(description="原评价编号")
    updated_at: dt.datetime | None = Field(description="更新时间")


class Score(BaseModel):
    """部门月度得分。"""

    system_code: str | None = Field(description="指标体系代码")
    department_code: str | None = Field(description="部门代码")
    department_name: str | None = Field(description="部门名称")
    month: dt.date | None = Field(description="月份（首日）")
    score: float | None = Field(description="得分（0–100）；没有数据为空")
    rank: int | None = Field(description="当月名次")
    indicators_scored: int | None = Field(description="得分指标数")
    indicators_total: int | None = Field(description="指标总数")
    label: str | None = Field(description="标注，如“自评”")


class Indicator(BaseModel):
    """部门月度指标得分。"""

    system_code: str | None = Field(description="指标体系代码")
    department_code: str | None = Field(description="部门代码")
    department_name: str | None = Field(description="部门名称")
    month: dt.date | None = Field(description="月份（首日）")
    indicator_code: str | None = Field(description="指标代码")
    indicator_name: str | None = Field(description="指标名称")
    numerator: float | None = Field(description="分子")
    denominator: float | None = Field(description="分母")
    value: float | None = Field(description="指标值")
    score: float | None = Field(description="得分（0–100）；没有数据为空")
    weight: float | None = Field(description="权重")
    null_reason: str | None = Field(description="没有值的原因")


class Measure(BaseModel):
    """部门一天的指标分子与分母。"""

    date: dt.date | None = Field(description="日期")
    department_code: str | None = Field(description="部门代码")
    measure_code: str | None = Field(description="指标代码")
    numerator: float | None = Field(description="分子")
    denominator: float | None = Field(description="分母")
    null_reason: str | None = Field(description="没有值的原因")


class Run(BaseModel):
    """一次运行。"""

    run_id: str | None = Field(description="运行编号")
    run_seq: int | None = Field(description="运行序号")
    as_of: dt.datetime | None = Field(description="计时截止时刻")
    started_at: dt.datetime | None = Field(description="开始时刻")
    finished_at: dt.datetime | None = Field(description="结束时刻")
    state: str | None = Field(description="状态：running、published、failed")


class Sync(BaseModel):
    """一次运行读取一个数据源的一个主题：读取 = 新增 + 更新 + 未变 + 被取代 + 已删除 + 隔离。"""

    run_id: str | None = Field(description="运行编号")
    run_seq: int | None = Field(description="运行序号")
    started_at: dt.datetime | None = Field(description="开始时刻")
    source: str | None = Field(description="数据源名称")
    subject: str | None = Field(description="数据主题")
    rows_read: int | None = Field(description="读取行数")
    inserted: int | None = Field(description="新增")
    updated: int | None = Field(description="更新")
    unchanged: int | None = Field(description="未变")
    superseded: int | None = Field(description="被新版本取代")
    deleted: int | None = Field(description="来源已删除")
    quarantined: int | None = Field(description="隔离")


class Check(BaseModel):
    """一项质量检查的结果。"""

    run_id: str | None = Field(description="运行编号")
    check_name: str | None = Field(description="检查名称")
    table_name: str | None = Field(description="表名")
    dimension: str | None = Field(description="质量维度")
    severity: str | None = Field(description="严重程度：blocks（不予上报）、counts（计入质量得分）、advises（提示）")
    passed: bool | None = Field(description="是否通过；空：没有可检查的行")
    failed_rows: int | None = Field(description="未通过行数")
    checked_rows: int | None = Field(description="检查行数")
    message: str | None = Field(description="说明")
    sql: str | None = Field(description="查出问题行的 SQL")
    gate: bool | None = Field(None, description="未通过即停止发布")


class CaseDetail(Case):
    """办件及其环节、证照、评价。"""

    events: list[CaseEvent] = Field(description="环节，按顺序")
    certificates: list[Certificate] = Field(description="证照")
    reviews: list[Review] = Field(description="评价")


class Behind(BaseModel):
    """指标背后的办件：各地址所列办件数之和即分子、分母。"""

    numerator: list[str] = Field(description="分子的办件列表地址")
    denominator: list[str] = Field(description="分母的办件列表地址")


class IndicatorDetail(Indicator):
    """指标得分及其背后的办件。"""

    behind: Behind | None = Field(description="背后的办件列表；不按办件计的指标为空")


class ScoreDetail(Score):
    """部门月度得分及各指标。"""

    indicators: list[IndicatorDetail] = Field(description="各指标")


class RunDetail(Run):
    """运行及其各主题的读取计数。"""

    sync: list[Sync] = Field(description="读取计数")
