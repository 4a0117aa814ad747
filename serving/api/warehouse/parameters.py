"""What the warehouse API may be asked: typed query parameters; any other name is refused.

The filters of a resource carry the names of :data:`models.store.resources.RESOURCES`; a test holds the two together.
"""

import datetime as dt
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from models.store.warehouse import DEFAULT_LIMIT, MOST_LIMIT


def _iso_day(value: Any) -> Any:
    """Only whole ISO days: pydantic alone would also take numbers as seconds since 1970."""
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        raise PydanticCustomError("day", "应为日期，如 2026-06-30")
    return value


def _iso_month(value: Any) -> Any:
    """The first day of an ISO month; what is no month (2026-99) is told as a month, too."""
    if not isinstance(value, str):
        return value
    try:
        if re.fullmatch(r"\d{4}-\d{2}", value):
            return dt.date.fromisoformat(f"{value}-01")
    except ValueError:
        pass
    raise PydanticCustomError("month", "应为月份，如 2026-06")


Day = Annotated[dt.date, BeforeValidator(_iso_day)]
Month = Annotated[dt.date, BeforeValidator(_iso_month), WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d{2}$", "examples": ["2026-06"]})]
Text = Annotated[str, Field(max_length=200)]
AnyOf = Annotated[list[Text], Field(max_length=50)]
"""One value or several (the parameter repeated): any of them."""


class ItemParameters(BaseModel):
    """Of every answer from the warehouse."""

    model_config = ConfigDict(extra="forbid")

    as_of: Day | None = Field(None, description="数据截止日：读取仍保留的那一版数据；缺省为最新一版")


class ListParameters(ItemParameters):
    """Of every list."""

    sort: Text | None = Field(None, description="排序列，前面加 - 为降序；没有值的排在最后")
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MOST_LIMIT, description="每页行数")
    cursor: str | None = Field(None, max_length=1000, description="上一页给出的 next；其他参数须与上一页相同")
    count: bool = Field(False, description="是否同时计算总行数")


class MatterParameters(ListParameters):
    """Filters of matters."""

    source: AnyOf | None = Field(None, description="数据源名称")
    matter_code: AnyOf | None = Field(None, description="实施编码")
    department_code: AnyOf | None = Field(None, description="实施主体代码")
    region_code: AnyOf | None = Field(None, description="行政管辖代码")
    type_code: AnyOf | None = Field(None, description="事项类型代码（表 A.1）")
    case_kind_code: AnyOf | None = Field(None, description="办件类型代码（表 A.6）")
    matter_state_code: AnyOf | None = Field(None, description="事项状态（码表 L.matter_state）")
    is_online: bool | None = Field(None, description="是否网办")
    is_one_window: bool | None = Field(None, description="是否进综合窗口")
    has_certificate: bool | None = Field(None, description="结果是否为证照")
    name: Text | None = Field(None, description="事项名称中的文字")


class CaseParameters(ListParameters):
    """Filters of cases."""

    source: AnyOf | None = Field(None, description="数据源名称")
    case_number: AnyOf | None = Field(None, description="办件编号")
    matter_code: AnyOf | None = Field(None, description="实施编码")
    department_code: AnyOf | None = Field(None, description="受理单位代码")
    region_code: AnyOf | None = Field(None, description="行政区划")
    window_code: AnyOf | None = Field(None, description="窗口编号")
    channel_code: AnyOf | None = Field(None, description="申报来源代码（码表 L.channel）")
    case_kind_code: AnyOf | None = Field(None, description="办件类型代码（表 A.6）")
    type_code: AnyOf | None = Field(None, description="事项类型代码（表 A.1）")
    outcome_code: AnyOf | None = Field(None, description="办结结果（码表 L.outcome）")
    applicant_id_digest: AnyOf | None = Field(None, description="申请者证件号码摘要")
    received_from: Day | None = Field(None, description="收件日不早于")
    received_to: Day | None = Field(None, description="收件日不晚于")
    completed_from: Day | None = Field(None, description="办结日不早于")
    completed_to: Day | None = Field(None, description="办结日不晚于")
    due_from: Day | None = Field(None, description="到期日不早于")
    due_to: Day | None = Field(None, description="到期日不晚于")
    has_limit: bool | None = Field(None, description="是否计时限（is_late 有值）")
    is_completed: bool | None = Field(None, description="是否办结")
    is_late: bool | None = Field(None, description="是否超期")
    is_statutory_late: bool | None = Field(None, description="是否超过法定期限")
    is_delivery_late: bool | None = Field(None, description="是否逾期送达")
    is_paused: bool | None = Field(None, description="是否正在特别程序中")
    is_deemed_accepted: bool | None = Field(None, description="是否视为受理")
    is_corrected: bool | None = Field(None, description="是否经补正")
    correction_count: int | None = Field(None, ge=0, description="补正告知次数")
    is_told_once_in_time: bool | None = Field(None, description="是否五个工作日内首次告知补正")
    is_commitment: bool | None = Field(None, description="是否告知承诺")
    is_tolerance: bool | None = Field(None, description="是否容缺受理")
    is_matter_known: bool | None = Field(None, description="事项编码是否在事项清单中")
    is_matter_in_force: bool | None = Field(None, description="收件当日事项是否在用")
    is_certificate_due: bool | None = Field(None, description="是否应产生证照")
    is_end_before_start: bool | None = Field(None, description="是否办结早于收件")
    has_invalid_pause: bool | None = Field(None, description="是否有不应停表的特别程序")
    has_invalid_extension: bool | None = Field(None, description="是否有无效的延长审批")


class DepartmentParameters(ListParameters):
    """Filters of departments."""

    source: AnyOf | None = Field(None, description="数据源名称")
    department_code: AnyOf | None = Field(None, description="部门代码")
    department_kind_code: AnyOf | None = Field(None, description="部门类别（码表 L.department_kind）")
    region_code: AnyOf | None = Field(None, description="区划代码")
    name: Text | None = Field(None, description="部门名称中的文字")


class ScoreParameters(ListParameters):
    """Filters of scores."""

    system_code: AnyOf | None = Field(None, description="指标体系代码")
    department_code: AnyOf | None = Field(None, description="部门代码")
    month: Month | None = Field(None, description="月份，如 2026-06")
    month_from: Month | None = Field(None, description="月份不早于")
    month_to: Month | None = Field(None, description="月份不晚于")


class MeasureParameters(ListParameters):
    """Filters of daily measures."""

    department_code: AnyOf | None = Field(None, description="部门代码")
    measure_code: AnyOf | None = Field(None, description="指标代码")
    null_reason: AnyOf | None = Field(None, description="没有值的原因")
    date_from: Day | None = Field(None, description="日期不早于")
    date_to: Day | None = Field(None, description="日期不晚于")


class RunParameters(ListParameters):
    """Filters of runs."""

    state: AnyOf | None = Field(None, description="状态：running、published、failed")


class CheckParameters(ListParameters):
    """Filters of checks."""

    run_id: AnyOf | None = Field(None, description="运行编号")
    check_name: AnyOf | None = Field(None, description="检查名称")
    table_name: AnyOf | None = Field(None, description="表名")
    dimension: AnyOf | None = Field(None, description="质量维度")
    severity: AnyOf | None = Field(None, description="严重程度：blocks、counts、advises")
    passed: bool | None = Field(None, description="是否通过")
