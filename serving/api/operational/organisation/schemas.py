"""What is said about units, jurisdictions, windows, appointments, work days and notices."""

import datetime as dt
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from serving.api.operational.calls import Code, LongText, Number, PageParameters, Strict, Text
from serving.api.operational.listing import Shown

Slot = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$", description="时段，如 09:00-10:00")]
UnitKind = Literal["government", "bureau", "section", "street", "community", "hall", "office"]


class NewUnit(Strict):
    """要设立的机构。"""

    model_config = ConfigDict(json_schema_extra={"example": {"code": "B01-1", "name": "行政审批科", "kind": "section", "parent_code": "B01"}})

    code: Code = Field(description="机构代码")
    name: Text = Field(description="名称")
    kind: UnitKind = Field(description="government 政府，bureau 局，section 科室，street 街镇，community 村社，hall 大厅，office 其他")
    parent_code: Code | None = Field(None, description="上级机构")
    region_code: Code | None = Field(None, description="区划代码")


class ChangedUnit(Strict):
    """要修改的内容；没有给出的不变。"""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "行政审批服务科"}})

    name: Text | None = Field(None, description="名称")
    kind: UnitKind | None = Field(None, description="类别")
    region_code: Code | None = Field(None, description="区划代码")


class MovedUnit(Strict):
    """要移到的位置。"""

    model_config = ConfigDict(json_schema_extra={"example": {"parent_code": "B02"}})

    parent_code: Code | None = Field(description="新的上级机构；空为顶级")


class UnitItem(Shown):
    """机构。"""

    code: str = Field(description="机构代码")
    name: str = Field(description="名称")
    kind: str = Field(description="类别")
    parent_code: str | None = Field(description="上级机构")
    path: str = Field(description="自顶级起的机构代码")
    region_code: str | None = Field(description="区划代码")
    version: int = Field(description="版本，与 ETag 相同")


class UnitParameters(PageParameters):
    """机构列表的条件。"""

    parent_code: Code | None = Field(None, description="上级机构")
    name: Text | None = Field(None, description="名称中含有")


class NewJurisdiction(Strict):
    """要确定的辖区。"""

    model_config = ConfigDict(json_schema_extra={"example": {"unit_code": "B01", "region_code": "430104", "matter_code": "*", "valid_from": "2026-07-01"}})

    unit_code: Code = Field(description="负责的机构")
    region_code: Code = Field(description="区划代码")
    matter_code: Code | Literal["*"] = Field("*", description="事项，* 为全部")
    valid_from: dt.date = Field(description="生效日期")
    valid_to: dt.date | None = Field(None, description="失效日期（该日起不再有效）")


class EndedJurisdiction(Strict):
    """辖区的终止。"""

    model_config = ConfigDict(json_schema_extra={"example": {"valid_to": "2026-12-31"}})

    valid_to: dt.date = Field(description="失效日期（该日起不再有效）")


class JurisdictionItem(Shown):
    """辖区。"""

    id: UUID = Field(description="标识")
    unit_code: str = Field(description="负责的机构")
    region_code: str = Field(description="区划代码")
    matter_code: str = Field(description="事项，* 为全部")
    valid_from: dt.date = Field(description="生效日期")
    valid_to: dt.date | None = Field(description="失效日期")
    version: int = Field(description="版本，与 ETag 相同")


class JurisdictionParameters(PageParameters):
    """辖区列表的条件。"""

    unit_code: Code | None = Field(None, description="负责的机构")
    region_code: Code | None = Field(None, description="区划代码")
    matter_code: Code | Literal["*"] | None = Field(None, description="事项，* 为确定给全部事项的")


class NewWindow(Strict):
    """要设立的窗口。"""

    model_config = ConfigDict(json_schema_extra={"example": {"code": "W01", "name": "综合受理 1 号窗口", "unit_code": "B01", "opens": ["09:00-10:00", "10:00-11:00"], "capacity": 6}})

    code: Code = Field(description="窗口代码")
    name: Text = Field(description="名称")
    unit_code: Code = Field(description="所属机构")
    place: Text | None = Field(None, description="位置")
    opens: list[Slot] = Field(default_factory=list, max_length=48, description="可预约的时段")
    capacity: int = Field(1, ge=1, le=500, description="每个时段可预约的人数")
    matters: list[Code] = Field(default_factory=list, max_length=500, description="受理的事项；空为本机构的全部事项")


class ChangedWindow(Strict):
    """要修改的内容；没有给出的不变。"""

    model_config = ConfigDict(json_schema_extra={"example": {"capacity": 8}})

    name: Text | None = Field(None, description="名称")
    place: Text | None = Field(None, description="位置")
    opens: list[Slot] | None = Field(None, max_length=48, description="可预约的时段")
    capacity: int | None = Field(None, ge=1, le=500, description="每个时段可预约的人数")
    matters: list[Code] | None = Field(None, max_length=500, description="受理的事项；空为本机构的全部事项")


class WindowItem(Shown):
    """窗口。"""

    code: str = Field(description="窗口代码")
    name: str = Field(description="名称")
    unit_code: str = Field(description="所属机构")
    place: str | None = Field(description="位置")
    opens: list[str] = Field(description="可预约的时段")
    capacity: int = Field(description="每个时段可预约的人数")
    matters: list[str] = Field(description="受理的事项；空为本机构的全部事项")
    version: int = Field(description="版本，与 ETag 相同")


class WindowParameters(PageParameters):
    """窗口列表的条件。"""

    unit_code: Code | None = Field(None, description="所属机构")


class NewAppointment(Strict):
    """要预约的时段。"""

    model_config = ConfigDict(json_schema_extra={"example": {"window_code": "W01", "day": "2026-07-02", "slot": "09:00-10:00"}})

    window_code: Code = Field(description="窗口")
    day: dt.date = Field(description="日期，须为工作日")
    slot: Slot
    party_id: UUID | None = Field(None, description="为谁预约；缺省为本人")
    matter_code: Code | None = Field(None, description="要办的事项")


class AppointmentState(Strict):
    """预约的下一步。"""

    model_config = ConfigDict(json_schema_extra={"example": {"state": "cancelled"}})

    state: Literal["called", "served", "missed", "cancelled"] = Field(description="called 叫号，served 已办，missed 未到，cancelled 取消")


class AppointmentItem(Shown):
    """预约。"""

    id: UUID = Field(description="标识")
    window_code: str = Field(description="窗口")
    unit_code: str = Field(description="机构")
    day: dt.date = Field(description="日期")
    slot: str = Field(description="时段")
    place: int = Field(description="号")
    party_id: UUID = Field(description="办事主体")
    matter_code: str | None = Field(description="要办的事项")
    state: str = Field(description="booked 已预约，called 已叫号，served 已办，missed 未到，cancelled 已取消")
    version: int = Field(description="版本，与 ETag 相同")


class AppointmentParameters(PageParameters):
    """预约列表的条件。"""

    day: dt.date | None = Field(None, description="日期")
    window_code: Code | None = Field(None, description="窗口")
    state: Literal["booked", "called", "served", "missed", "cancelled"] | None = Field(None, description="状态")


class NewCalendarDay(Strict):
    """要确定的一天。"""

    model_config = ConfigDict(json_schema_extra={"example": {"day": "2027-03-01", "is_working": False, "reason": "市政府临时放假通知"}})

    day: dt.date = Field(description="日期，不能是过去的日子")
    is_working: bool = Field(description="是否上班")
    reason: LongText = Field(description="依据")


class NewCalendarYear(Strict):
    """国务院办公厅通知的一年放假安排。"""

    model_config = ConfigDict(json_schema_extra={"example": {"year": 2027, "rest_days": ["2027-01-01"], "working_days": [], "reason": "国务院办公厅关于 2027 年部分节假日安排的通知"}})

    year: Number = Field(description="年份：已公布年份的下一年")
    rest_days: list[dt.date] = Field(max_length=60, description="放假的日子")
    working_days: list[dt.date] = Field(max_length=30, description="调休上班的日子")
    reason: LongText = Field(description="通知的名称和文号")


class CalendarDayItem(Shown):
    """管理员确定的一天。"""

    day: dt.date = Field(description="日期")
    number: int = Field(description="第几次确定；最后一次有效")
    is_working: bool = Field(description="是否上班")
    reason: str = Field(description="依据")
    decided_by: str = Field(description="何人确定")


class CalendarYear(Shown):
    """录入的结果。"""

    days: int = Field(description="确定了几天")


class NewNotice(Strict):
    """要发布的公告。"""

    model_config = ConfigDict(json_schema_extra={"example": {"title": "国庆期间窗口服务安排", "body": "10 月 1 日至 7 日不对外服务。", "unit_code": "B01"}})

    title: Text = Field(description="标题")
    body: LongText = Field(description="内容")
    unit_code: Code = Field(description="发布机构")
    roles: list[Code] = Field(default_factory=list, max_length=20, description="只给这些角色看；空为所有人")


class NoticeItem(Shown):
    """公告。"""

    id: UUID = Field(description="标识")
    title: str = Field(description="标题")
    body: str = Field(description="内容")
    unit_code: str = Field(description="发布机构")
    roles: list[str] = Field(description="只给这些角色看")
    published_at: dt.datetime = Field(description="发布时间")
    withdrawn_at: dt.datetime | None = Field(description="撤下时间")
    version: int = Field(description="版本，与 ETag 相同")
