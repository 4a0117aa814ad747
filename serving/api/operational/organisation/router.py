"""``/api/v1/{units,jurisdictions,windows,appointments,calendar,notices}``: the organisation and its hours."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from models.core.organisation import calendar, notices, units, windows
from serving.api.operational.calls import BEARER, Call, Code, PageParameters, permitted
from serving.api.operational.listing import Listed, Reason, Removed
from serving.api.operational.organisation import schemas as s

router = APIRouter(tags=["机构"], dependencies=[BEARER])
Reader = Annotated[Call, permitted("organisation:read")]
Editor = Annotated[Call, permitted("organisation:edit")]
DayEditor = Annotated[Call, permitted("calendar:edit")]
Booker = Annotated[Call, permitted("appointment:book")]


@router.get("/units", response_model=Listed[s.UnitItem], summary="机构列表")
def list_units(wanted: Annotated[s.UnitParameters, Query()], call: Reader) -> Response:
    """在用的机构，按代码排序。"""
    return call.page(lambda session: units.listed(session, call.access, wanted.paging, parent_code=wanted.parent_code, name=wanted.name), s.UnitItem.of)


@router.post("/units", response_model=s.UnitItem, status_code=201, summary="设立机构")
def create_unit(body: s.NewUnit, call: Editor) -> Response:
    """设在某机构之下，或设为顶级。"""
    return call.post(body, lambda now: s.UnitItem.of(units.create(now, call.access, **body.model_dump())), location=lambda made: f"/api/v1/units/{made.code}")


@router.get("/units/{code}", response_model=s.UnitItem, summary="一个机构")
def get_unit(code: Code, call: Reader) -> Response:
    """在用的机构。"""
    return call.one(lambda session: s.UnitItem.of(units.get(session, call.access, code)))


@router.patch("/units/{code}", response_model=s.UnitItem, summary="修改机构")
def change_unit(code: Code, body: s.ChangedUnit, call: Editor) -> Response:
    """没有给出的不变。"""
    return call.change(lambda now, seen: s.UnitItem.of(units.change(now, call.access, code, seen, **body.model_dump())))


@router.put("/units/{code}/parent", response_model=s.UnitItem, summary="移动机构")
def move_unit(code: Code, body: s.MovedUnit, call: Editor) -> Response:
    """连同全部下级一起移动。"""
    return call.change(lambda now, seen: s.UnitItem.of(units.move(now, call.access, code, seen, body.parent_code)))


@router.post("/units/{code}/retirement", response_model=Removed, summary="撤销机构")
def retire_unit(code: Code, body: Reason, call: Editor) -> Response:
    """还有下级、人员、窗口或待办时不能撤销；须给出 If-Match。"""
    version = call.version()
    return call.post(body, lambda now: Removed(id=units.retire(now, call.access, code, version, body.reason).code), status=200)


@router.get("/jurisdictions", response_model=Listed[s.JurisdictionItem], summary="辖区列表")
def list_jurisdictions(wanted: Annotated[s.JurisdictionParameters, Query()], call: Reader) -> Response:
    """哪个机构在哪个区划负责哪些事项。"""
    return call.page(
        lambda session: units.jurisdictions(session, wanted.paging, unit_code=wanted.unit_code, region_code=wanted.region_code, matter_code=wanted.matter_code), s.JurisdictionItem.of
    )  # fmt: skip


@router.post("/jurisdictions", response_model=s.JurisdictionItem, status_code=201, summary="确定辖区")
def claim_region(body: s.NewJurisdiction, call: Editor) -> Response:
    """同一时期同一区划的同一事项只能由一个机构负责。"""
    return call.post(body, lambda now: s.JurisdictionItem.of(units.claim_region(now, **body.model_dump())))


@router.get("/jurisdictions/{jurisdiction_id}", response_model=s.JurisdictionItem, summary="一个辖区")
def get_jurisdiction(jurisdiction_id: UUID, call: Reader) -> Response:
    """哪个机构在哪个区划负责哪些事项。"""
    return call.one(lambda session: s.JurisdictionItem.of(units.jurisdiction(session, jurisdiction_id)))


@router.patch("/jurisdictions/{jurisdiction_id}", response_model=s.JurisdictionItem, summary="终止辖区")
def end_jurisdiction(jurisdiction_id: UUID, body: s.EndedJurisdiction, call: Editor) -> Response:
    """自失效日期起不再有效。"""
    return call.change(lambda now, seen: s.JurisdictionItem.of(units.end_jurisdiction(now, jurisdiction_id, seen, body.valid_to)))


@router.get("/windows", response_model=Listed[s.WindowItem], summary="窗口列表")
def list_windows(wanted: Annotated[s.WindowParameters, Query()], call: Reader) -> Response:
    """在用的窗口，按代码排序。"""
    return call.page(lambda session: windows.listed(session, call.access, wanted.paging, unit_code=wanted.unit_code), s.WindowItem.of)


@router.post("/windows", response_model=s.WindowItem, status_code=201, summary="设立窗口")
def create_window(body: s.NewWindow, call: Editor) -> Response:
    """及其可预约的时段和人数。"""
    return call.post(body, lambda now: s.WindowItem.of(windows.create(now, **body.model_dump())), location=lambda made: f"/api/v1/windows/{made.code}")


@router.get("/windows/{code}", response_model=s.WindowItem, summary="一个窗口")
def get_window(code: Code, call: Reader) -> Response:
    """在用的窗口。"""
    return call.one(lambda session: s.WindowItem.of(windows.get(session, code)))


@router.patch("/windows/{code}", response_model=s.WindowItem, summary="修改窗口")
def change_window(code: Code, body: s.ChangedWindow, call: Editor) -> Response:
    """没有给出的不变；已有的预约不变。"""
    return call.change(lambda now, seen: s.WindowItem.of(windows.change(now, code, seen, **body.model_dump())))


@router.post("/windows/{code}/retirement", response_model=Removed, summary="撤销窗口")
def retire_window(code: Code, body: Reason, call: Editor) -> Response:
    """还有未办的预约时不能撤销；须给出 If-Match。"""
    version = call.version()
    return call.post(body, lambda now: Removed(id=windows.retire(now, code, version, body.reason).code), status=200)


@router.get("/appointments", response_model=Listed[s.AppointmentItem], summary="预约列表", tags=["预约"])
def list_appointments(wanted: Annotated[s.AppointmentParameters, Query()], call: Annotated[Call, permitted("appointment:read")]) -> Response:
    """有权查看的预约，按先后。"""
    return call.page(
        lambda session: windows.appointments(session, call.access, wanted.paging, day=wanted.day, window_code=wanted.window_code, state=wanted.state), s.AppointmentItem.of
    )  # fmt: skip


@router.get("/appointments/{appointment_id}", response_model=s.AppointmentItem, summary="一个预约", tags=["预约"])
def get_appointment(appointment_id: UUID, call: Annotated[Call, permitted("appointment:read")]) -> Response:
    """有权查看的预约。"""
    return call.one(lambda session: s.AppointmentItem.of(windows.appointment(session, call.access, appointment_id)))


@router.post("/appointments", response_model=s.AppointmentItem, status_code=201, summary="预约", tags=["预约"])
def book_appointment(body: s.NewAppointment, call: Booker) -> Response:
    """预约一个时段；约满即止。"""
    return call.post(body, lambda now: s.AppointmentItem.of(windows.book(now, call.access, zone=call.settings.zone, **body.model_dump())))


@router.put("/appointments/{appointment_id}/state", response_model=s.AppointmentItem, summary="叫号、办结、未到或取消", tags=["预约"])
def proceed_appointment(appointment_id: UUID, body: s.AppointmentState, call: Annotated[Call, permitted("appointment:serve")]) -> Response:
    """本人只能取消。"""
    return call.change(lambda now, seen: s.AppointmentItem.of(windows.proceed(now, call.access, appointment_id, seen, body.state)))


@router.get("/calendar/days", response_model=Listed[s.CalendarDayItem], summary="工作日历的调整", tags=["工作日历"])
def list_calendar_days(wanted: Annotated[PageParameters, Query()], call: Annotated[Call, permitted("calendar:read")]) -> Response:
    """管理员确定的日子；其余按国务院公布的安排和周末。"""
    return call.page(lambda session: calendar.listed(session, wanted.paging), s.CalendarDayItem.of)


@router.post("/calendar/days", response_model=s.CalendarDayItem, status_code=201, summary="确定一天", tags=["工作日历"])
def decide_calendar_day(body: s.NewCalendarDay, call: DayEditor) -> Response:
    """自现在起计算的期限按它计算；已经计算的不变。"""
    return call.post(body, lambda now: s.CalendarDayItem.of(calendar.decide(now, body.day, body.is_working, body.reason, call.settings.zone)))


@router.post("/calendar/years", response_model=s.CalendarYear, status_code=201, summary="录入一年的放假安排", tags=["工作日历"])
def publish_calendar_year(body: s.NewCalendarYear, call: DayEditor) -> Response:
    """录入后，该年的期限不再是推定的。"""
    return call.post(body, lambda now: s.CalendarYear(days=calendar.publish_year(now, body.year, body.rest_days, body.working_days, body.reason, call.settings.zone)))


@router.get("/notices", response_model=Listed[s.NoticeItem], summary="公告列表", tags=["公告"])
def list_notices(wanted: Annotated[PageParameters, Query()], call: Annotated[Call, permitted("notice:read")]) -> Response:
    """您能看到的公告，最新的在前。"""
    return call.page(lambda session: notices.listed(session, call.access, wanted.paging), s.NoticeItem.of)


@router.post("/notices", response_model=s.NoticeItem, status_code=201, summary="发布公告", tags=["公告"])
def publish_notice(body: s.NewNotice, call: Annotated[Call, permitted("notice:edit")]) -> Response:
    """发布后不能修改，可以撤下。"""
    return call.post(body, lambda now: s.NoticeItem.of(notices.publish(now, call.access, **body.model_dump())))


@router.get("/notices/{notice_id}", response_model=s.NoticeItem, summary="一条公告", tags=["公告"])
def get_notice(notice_id: UUID, call: Annotated[Call, permitted("notice:read")]) -> Response:
    """给您看的、没有撤下的公告。"""
    return call.one(lambda session: s.NoticeItem.of(notices.get(session, call.access, notice_id)))


@router.delete("/notices/{notice_id}", response_model=None, status_code=204, summary="撤下公告", tags=["公告"])
def withdraw_notice(notice_id: UUID, call: Annotated[Call, permitted("notice:edit")]) -> Response:
    """记录保留。"""
    return call.remove(lambda now, seen: notices.withdraw(now, call.access, notice_id, seen))
