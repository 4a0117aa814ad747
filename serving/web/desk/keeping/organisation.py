"""Units, jurisdictions, windows, appointments, work days, notices."""

from uuid import UUID

from models.core.organisation import calendar, notices, units, windows
from models.core.work.service import Work
from serving.web.desk.common import Visit
from serving.web.desk.keeping.types import (
    PARTY,
    REASON,
    UNIT,
    Area,
    Field,
    Form,
    Told,
    Values,
    column,
    day,
    days,
    matter,
    nothing,
    party_of,
    roles,
    text,
    unit,
    version,
    whole,
)

KINDS = {"government": "政府", "bureau": "局", "section": "科室", "street": "街镇", "community": "村社", "hall": "大厅", "office": "其他"}
STATES = {"booked": "已预约", "called": "已叫号", "served": "已办", "missed": "未到", "cancelled": "已取消"}
_ANY = {"": "（不限）"}
_OPENS = Field("opens", "时段，空格分隔，如 09:00-10:00")
_MATTERS = Field("matters", "受理的事项代码，空格分隔（全部不填）", is_needed=False, help="事项代码见“事项”页")
_WINDOW = Field("window_code", "窗口", "window", is_needed=False)



def _booked(here: Visit, now: Work, v: Values) -> Told:
    made = windows.book(
        now, here.access, v["window_code"], day(v["day"]), v["slot"], zone=here.operations.settings.zone, party_id=party_of(here, now, v), matter_code=v["matter_code"] or None
    )
    return Told(f"已预约：{made.day} {made.slot}，窗口 {made.window_code}，第 {made.place} 号。")


AREAS: dict[str, Area] = {
    "units": Area(
        "机构", "organisation:read",
        lambda here, session, paging, v: units.listed(session, here.access, paging, parent_code=v["parent_code"] or None, name=v["name"] or None),
        (("代码", column("code")), ("名称", column("name")), ("类别", lambda here, row: KINDS.get(row.kind, row.kind)), ("上级", unit("parent_code")), ("区划", column("region_code"))),
        text("code"),
        (Field("name", "名称中含有", is_needed=False), Field("parent_code", "上级", "unit", is_needed=False)),
        (Form("create", "设立机构", "organisation:edit",
              lambda here, now, v: nothing(units.create(now, here.access, v["code"], v["name"], v["kind"], v["parent_code"] or None, v["region_code"] or None)),
              (Field("code", "代码"), Field("name", "名称"), Field("kind", "类别", "choice", lambda: KINDS), Field("parent_code", "上级（顶级不填）", "unit", is_needed=False),
               Field("region_code", "区划代码", is_needed=False))),),
        (Form("change", "修改", "organisation:edit",
              lambda here, now, v: nothing(units.change(
                  now, here.access, v["id"], version(v), name=v["name"] or None, kind=v["kind"] or None, region_code=v["region_code"] or None)),
              (Field("name", "新的名称（不变不填）", is_needed=False), Field("kind", "类别", "choice", lambda: {"": "（不变）"} | KINDS, is_needed=False),
               Field("region_code", "新的区划代码（不变不填）", is_needed=False))),
         Form("move", "移动", "organisation:edit", lambda here, now, v: nothing(units.move(now, here.access, v["id"], version(v), v["parent_code"] or None)),
              (Field("parent_code", "新的上级（顶级不填）", "unit", is_needed=False),)),
         Form("retire", "撤销", "organisation:edit", lambda here, now, v: nothing(units.retire(now, here.access, v["id"], version(v), v["reason"])), (REASON,))),
    ),
    "jurisdictions": Area(
        "辖区", "organisation:read",
        lambda here, session, paging, v: units.jurisdictions(session, paging, unit_code=v["unit_code"] or None, region_code=v["region_code"] or None, matter_code=v["matter_code"] or None),
        (("区划", column("region_code")), ("事项", lambda here, row: "全部" if row.matter_code == units.ALL_MATTERS else matter("matter_code")(here, row)), ("机构", unit("unit_code")),
         ("自", column("valid_from")), ("至（不含）", column("valid_to"))),
        text("id"),
        (UNIT, Field("region_code", "区划代码", is_needed=False), Field("matter_code", "事项（* 为确定给全部事项的）", "matter", is_needed=False)),
        (Form("create", "确定辖区", "organisation:edit",
              lambda here, now, v: nothing(units.claim_region(
                  now, v["unit_code"], v["region_code"], v["matter_code"] or units.ALL_MATTERS, day(v["valid_from"]), day(v["valid_to"]) if v["valid_to"] else None)),
              (Field("unit_code", "机构", "unit"), Field("region_code", "区划代码"), Field("matter_code", "事项（全部不填）", "matter", is_needed=False), Field("valid_from", "生效日期", "date"),
               Field("valid_to", "失效日期（该日起不再有效）", "date", is_needed=False))),),
        (Form("end", "终止", "organisation:edit", lambda here, now, v: nothing(units.end_jurisdiction(now, UUID(v["id"]), version(v), day(v["valid_to"]))),
              (Field("valid_to", "失效日期（该日起不再有效）", "date"),)),),
    ),
    "windows": Area(
        "窗口", "organisation:read", lambda here, session, paging, v: windows.listed(session, here.access, paging, unit_code=v["unit_code"] or None),
        (("代码", column("code")), ("名称", column("name")), ("机构", unit("unit_code")), ("位置", column("place")), ("时段", lambda here, row: "、".join(row.opens)),
         ("每段人数", column("capacity")), ("事项", lambda here, row: "、".join(row.matters) or "全部")),
        text("code"), (UNIT,),
        (Form("create", "设立窗口", "organisation:edit",
              lambda here, now, v: nothing(windows.create(
                  now, v["code"], v["name"], v["unit_code"], v["place"] or None, v["opens"].split(), whole(v["capacity"], 500), v["matters"].split())),
              (Field("code", "代码"), Field("name", "名称"), Field("unit_code", "机构", "unit"), Field("place", "位置", is_needed=False), _OPENS, Field("capacity", "每段人数", "number"), _MATTERS)),),
        (Form("hours", "改时段和人数", "organisation:edit",
              lambda here, now, v: nothing(windows.change(now, v["id"], version(v), opens=v["opens"].split(), capacity=whole(v["capacity"], 500))),
              (_OPENS, Field("capacity", "每段人数", "number"))),
         Form("change", "改名称和位置", "organisation:edit", lambda here, now, v: nothing(windows.change(now, v["id"], version(v), name=v["name"] or None, place=v["place"] or None)),
              (Field("name", "新的名称（不变不填）", is_needed=False), Field("place", "新的位置（不变不填）", is_needed=False))),
         Form("matters", "改受理的事项", "organisation:edit", lambda here, now, v: nothing(windows.change(now, v["id"], version(v), matters=v["matters"].split())), (_MATTERS,)),
         Form("retire", "撤销", "organisation:edit", lambda here, now, v: nothing(windows.retire(now, v["id"], version(v), v["reason"])), (REASON,))),
    ),
    "appointments": Area(
        "预约", "appointment:read",
        lambda here, session, paging, v: windows.appointments(
            session, here.access, paging, day=day(v["day"]) if v["day"] else None, window_code=v["window_code"] or None, state=v["state"] or None),
        (("日期", column("day")), ("时段", column("slot")), ("窗口", lambda here, row: f"{here.offered('window').get(row.window_code, '窗口')}（{row.window_code}）"), ("号", column("place")), ("事项", matter("matter_code")),
         ("状态", lambda here, row: STATES.get(row.state, row.state))),
        text("id"),
        (Field("day", "日期", "date", is_needed=False), _WINDOW, Field("state", "状态", "choice", lambda: _ANY | STATES, is_needed=False)),
        (Form("create", "预约", "appointment:book", _booked, (
            Field("window_code", "窗口", "window"), Field("day", "日期", "date"), Field("slot", "时段", "slot"), *PARTY, Field("matter_code", "事项", "matter", is_needed=False))),),
        tuple(Form(state, title, "appointment:serve", lambda here, now, v, state=state: nothing(windows.proceed(now, here.access, UUID(v["id"]), version(v), state)),  # type: ignore[misc]
                   is_for=lambda row, state=state: state in windows.NEXT.get(row.state, ()))  # type: ignore[misc]
              for state, title in (("called", "到场叫号"), ("served", "办结"), ("missed", "未到"), ("cancelled", "取消"))),
    ),
    "days": Area(
        "工作日历的调整", "calendar:read", lambda here, session, paging, v: calendar.listed(session, paging),
        (("日期", column("day")), ("第几次", column("number")), ("安排", lambda here, row: "上班" if row.is_working else "休息"), ("依据", column("reason")), ("何人", column("decided_by"))),
        lambda row: f"{row.day}/{row.number}", (),
        (Form("create", "确定一天", "calendar:edit",
              lambda here, now, v: nothing(calendar.decide(now, day(v["day"]), v["is_working"] == "1", v["reason"], here.operations.settings.zone)),
              (Field("day", "日期", "date"), Field("is_working", "安排", "choice", lambda: {"0": "休息", "1": "上班"}), Field("reason", "依据")),
              lands=lambda v: f"/desk/calendar?year={v['day'][:4]}"),
         Form("year", "录入一年的放假安排", "calendar:edit",
              lambda here, now, v: nothing(calendar.publish_year(
                  now, whole(v["year"], 2999), days(v["rest_days"]), days(v["working_days"]), v["reason"], here.operations.settings.zone)),
              (Field("year", "年份（已公布年份的下一年）", "number"), Field("rest_days", "放假的日子，空格分隔，如 2027-01-01", "long"),
               Field("working_days", "调休上班的日子，空格分隔", "long", is_needed=False), Field("reason", "通知的名称和文号")))),
        above=("/desk/calendar", "工作日历"),
    ),
    "notices": Area(
        "公告", "notice:edit", lambda here, session, paging, v: notices.listed(session, here.access, paging),
        (("标题", column("title")), ("内容", column("body")), ("机构", unit("unit_code")), ("发布", column("published_at"))), text("id"), (),
        (Form("create", "发布公告", "notice:edit",
              lambda here, now, v: nothing(notices.publish(now, here.access, v["title"], v["body"], v["unit_code"], v["roles"].split())),
              (Field("title", "标题"), Field("body", "内容", "long"), Field("unit_code", "发布机构", "unit"), Field("roles", "只给这些角色看（不选为所有人）", "many", roles, is_needed=False))),),
        (Form("withdraw", "撤下", "notice:edit", lambda here, now, v: nothing(notices.withdraw(now, here.access, UUID(v["id"]), version(v)))),),
    ),
}  # fmt: skip
