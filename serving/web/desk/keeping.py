"""Maintenance as declarations: a list, its columns, and forms that each call one service; one page shows them all.

What does not belong here: rules, which are the services', and who may, which is the policy's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from models.core.access import service as access_service
from models.core.audit import reading
from models.core.feedback import service as feedback
from models.core.feedback.reading import shows_case
from models.core.organisation import calendar, notices, staff, units, windows
from models.core.policy.service import Grant, policy
from models.core.webhooks import service as webhooks
from models.core.work.service import Work
from models.domain.errors import YiwangError
from models.store.operational.paging import Page, Paging
from serving.web.desk.common import Visit

Values = dict[str, str]


@dataclass(frozen=True)
class Field:
    """A field of a form.

    Attributes:
        name: Its name.
        title: What people see.
        kind: ``text``, ``date``, ``number``, ``url``, ``long``, or ``choice``.
        choices: Value → title.
        is_needed: It must be filled in.
    """

    name: str
    title: str
    kind: str = "text"
    choices: Callable[[], dict[str, str]] = dict
    is_needed: bool = True


@dataclass(frozen=True)
class Form:
    """Something that may be done, to the whole list or to one row.

    Attributes:
        name: Its name.
        title: On the button.
        permission: Who may.
        do: Does it; what it returns is shown once (a secret), None for nothing to show.
        fields: What it asks for.
    """

    name: str
    title: str
    permission: str
    do: Callable[[Visit, Work, Values], str | None]
    fields: Sequence[Field] = ()


@dataclass(frozen=True)
class Area:
    """A list that is kept.

    Attributes:
        title: What people see.
        permission: Who may look.
        load: The rows of a page.
        columns: Title and value of each column.
        key: Identifies a row; with its version, where it has one, it goes into the row's forms.
        create: Form above the list.
        on_row: Forms of a row.
        is_watched: Looking is itself written down.
    """

    title: str
    permission: str
    load: Callable[[Visit, Any, Paging], Page[Any]]
    columns: Sequence[tuple[str, Callable[[Visit, Any], Any]]]
    key: Callable[[Any], str]
    create: Form | None = None
    on_row: Sequence[Form] = ()
    is_watched: bool = False


def _column(name: str) -> Callable[[Visit, Any], Any]:
    return lambda here, row: getattr(row, name)


def _roles() -> dict[str, str]:
    return {name: role.title for name, role in policy().roles.items()}


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise YiwangError("YW-DOMAIN-001", value=text) from None


def _whole(text: str, most: int = 10_000) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= most):
        raise YiwangError("YW-SERVE-005", name="数量", detail=f"应为 1 到 {most} 的整数")
    return int(text)


def _version(values: Values) -> int:
    return int(values["version"]) if values.get("version", "").isdigit() else 0


def _issue(here: Visit, now: Work, values: Values) -> str:
    at = datetime.combine(_day(values["expires_on"]), datetime.min.time(), here.operations.settings.tzinfo)
    return access_service.issue_key(now, values["name"], [Grant(values["role"], values["unit_code"])], at, values["unit_code"]).secret


def _hook(here: Visit, now: Work, values: Values) -> str:
    return webhooks.create(now, here.operations.crypto, values["name"], values["url"], values["topics"].split()).secret


def _grant(here: Visit, now: Work, values: Values) -> None:
    person = staff.staff_by_account(now.session, values["account"])
    if person is None:
        raise YiwangError("YW-STORE-011", what="人员", key=values["account"])
    staff.grant(now, person.id, values["role"], values["unit_code"])


_REASON = Field("reason", "理由")
KINDS = {"government": "政府", "bureau": "局", "section": "科室", "street": "街镇", "community": "村社", "hall": "大厅", "office": "其他"}
AREAS: dict[str, Area] = {
    "units": Area(
        "机构", "organisation:read", lambda here, session, paging: units.listed(session, here.access, paging),
        (("代码", _column("code")), ("名称", _column("name")), ("类别", lambda here, row: KINDS.get(row.kind, row.kind)), ("上级", _column("parent_code"))),
        lambda row: str(row.code),
        Form("create", "设立机构", "organisation:edit", lambda here, now, v: _none(units.create(now, here.access, v["code"], v["name"], v["kind"], v["parent_code"] or None)),
             (Field("code", "代码"), Field("name", "名称"), Field("kind", "类别", "choice", lambda: KINDS), Field("parent_code", "上级代码（顶级不填）", is_needed=False))),
        (Form("rename", "改名", "organisation:edit", lambda here, now, v: _none(units.change(now, here.access, v["id"], _version(v), name=v["name"])), (Field("name", "新的名称"),)),
         Form("move", "移动", "organisation:edit", lambda here, now, v: _none(units.move(now, here.access, v["id"], _version(v), v["parent_code"] or None)), (Field("parent_code", "新的上级代码（顶级不填）", is_needed=False),)),
         Form("retire", "撤销", "organisation:edit", lambda here, now, v: _none(units.retire(now, here.access, v["id"], _version(v), v["reason"])), (_REASON,))),
    ),
    "windows": Area(
        "窗口", "organisation:read", lambda here, session, paging: windows.listed(session, here.access, paging),
        (("代码", _column("code")), ("名称", _column("name")), ("机构", _column("unit_code")), ("时段", lambda here, row: "、".join(row.opens)), ("每段人数", _column("capacity"))),
        lambda row: str(row.code),
        Form("create", "设立窗口", "organisation:edit", lambda here, now, v: _none(windows.create(now, v["code"], v["name"], v["unit_code"], v["place"] or None, v["opens"].split(), _whole(v["capacity"], 500))),
             (Field("code", "代码"), Field("name", "名称"), Field("unit_code", "机构代码"), Field("place", "位置", is_needed=False), Field("opens", "时段，空格分隔，如 09:00-10:00"), Field("capacity", "每段人数", "number"))),
        (Form("retire", "撤销", "organisation:edit", lambda here, now, v: _none(windows.retire(now, v["id"], _version(v), v["reason"])), (_REASON,)),),
    ),
    "staff": Area(
        "人员", "staff:read", lambda here, session, paging: staff.listed(session, here.access, paging),
        (("账号", _column("account")), ("姓名", _column("name")), ("机构", _column("unit_code")), ("电话", lambda here, row: staff.shown(here.operations.crypto, row).phone), ("离开", _column("left_at"))),
        lambda row: str(row.id),
        Form("create", "添加人员", "staff:edit", lambda here, now, v: _none(staff.add(now, here.operations.crypto, v["account"], v["name"], v["unit_code"], v["phone"] or None)),
             (Field("account", "账号"), Field("name", "姓名"), Field("unit_code", "机构代码"), Field("phone", "电话", is_needed=False))),
        (Form("leave", "离开", "staff:edit", lambda here, now, v: _none(staff.leave(now, here.access, UUID(v["id"]), _version(v)))),),
    ),
    "grants": Area(
        "角色", "grant:read", lambda here, session, paging: staff.grants(session, paging),
        (("人员", lambda here, row: str(row.staff_id)), ("角色", lambda here, row: _roles().get(row.role, row.role)), ("机构", _column("unit_code")), ("自", _column("valid_from")), ("至", _column("valid_to")), ("授予人", _column("given_by"))),
        lambda row: str(row.id),
        Form("create", "授予角色", "grant:give", _grant, (Field("account", "账号"), Field("role", "角色", "choice", _roles), Field("unit_code", "机构代码（不按机构的不填）", is_needed=False))),
        (Form("withdraw", "收回", "grant:give", lambda here, now, v: _none(staff.withdraw(now, UUID(v["id"])))),),
    ),
    "days": Area(
        "工作日历", "calendar:edit", lambda here, session, paging: calendar.listed(session, paging),
        (("日期", _column("day")), ("第几次", _column("number")), ("上班", lambda here, row: "上班" if row.is_working else "休息"), ("依据", _column("reason")), ("何人", _column("decided_by"))),
        lambda row: f"{row.day}/{row.number}",
        Form("create", "确定一天", "calendar:edit", lambda here, now, v: _none(calendar.decide(now, _day(v["day"]), v["is_working"] == "1", v["reason"], here.operations.settings.zone)),
             (Field("day", "日期", "date"), Field("is_working", "安排", "choice", lambda: {"0": "休息", "1": "上班"}), Field("reason", "依据"))),
    ),
    "notices": Area(
        "公告", "notice:edit", lambda here, session, paging: notices.listed(session, here.access, paging),
        (("标题", _column("title")), ("机构", _column("unit_code")), ("发布", _column("published_at"))), lambda row: str(row.id),
        Form("create", "发布公告", "notice:edit", lambda here, now, v: _none(notices.publish(now, here.access, v["title"], v["body"], v["unit_code"])),
             (Field("title", "标题"), Field("body", "内容", "long"), Field("unit_code", "发布机构代码"))),
        (Form("withdraw", "撤下", "notice:edit", lambda here, now, v: _none(notices.withdraw(now, here.access, UUID(v["id"]), _version(v)))),),
    ),
    "reviews": Area(
        "评价", "feedback:read", lambda here, session, paging: feedback.listed(session, here.access, paging, kind="review"),
        (("办件", lambda here, row: row.case_number if shows_case(here.access, row) else "（不显示）"), ("满意度", lambda here, row: {1: "非常满意", 2: "满意", 3: "基本满意", 4: "不满意", 5: "非常不满意"}[row.level]),
         ("默认", lambda here, row: "默认" if row.is_default else ""), ("机构", _column("unit_code")), ("时间", _column("given_at")), ("不计入", _column("excluded_reason"))),
        lambda row: str(row.id), None,
        (Form("appeal", "申诉", "feedback:appeal", lambda here, now, v: _none(feedback.appeal(now, here.operations.settings, here.access, UUID(v["id"]), v["reason"])), (_REASON,)),
         Form("visit", "登记回访", "feedback:visit", lambda here, now, v: _none(feedback.visit(now, here.operations.crypto, here.access, UUID(v["id"]), {"1": True, "0": False}.get(v["is_satisfied"]), v["note"] or None)),
              (Field("is_satisfied", "结果", "choice", lambda: {"1": "满意", "0": "仍不满意", "": "未联系到"}, is_needed=False), Field("note", "记录", is_needed=False)))),
    ),
    "complaints": Area(
        "投诉", "feedback:read", lambda here, session, paging: feedback.listed(session, here.access, paging, kind="complaint"),
        (("机构", _column("unit_code")), ("内容", lambda here, row: feedback.text_of(here.operations.crypto, row)), ("时间", _column("given_at"))), lambda row: str(row.id),
    ),
    "sessions": Area(
        "会话", "session:read", lambda here, session, paging: access_service.sessions(session, paging, here.at),
        (("谁", _column("subject")), ("登录", _column("created_at")), ("最近使用", _column("used_at")), ("方式", lambda here, row: "、".join(row.methods))), lambda row: str(row.id), None,
        (Form("end", "结束", "session:end", lambda here, now, v: _none(access_service.end_session(now, UUID(v["id"]), "administrator"))),),
    ),
    "keys": Area(
        "系统密钥", "key:read", lambda here, session, paging: access_service.keys(session, paging),
        (("系统", _column("name")), ("角色", lambda here, row: "、".join(row.grants)), ("到期", _column("expires_at")), ("吊销", _column("revoked_at"))), lambda row: str(row.id),
        Form("create", "签发密钥", "key:edit", _issue, (Field("name", "给哪个系统"), Field("role", "角色", "choice", _roles), Field("unit_code", "机构代码（全部不填）", is_needed=False), Field("expires_on", "到期日", "date"))),
        (Form("revoke", "吊销", "key:edit", lambda here, now, v: _none(access_service.revoke_key(now, UUID(v["id"])))),),
    ),
    "webhooks": Area(
        "推送", "webhook:read", lambda here, session, paging: webhooks.listed(session, paging),
        (("系统", _column("name")), ("网址", _column("url")), ("推送", lambda here, row: "推送中" if row.is_active else "已停用"), ("连续失败", _column("failures")), ("最近失败", _column("last_error"))), lambda row: str(row.id),
        Form("create", "建立推送", "webhook:edit", _hook, (Field("name", "给哪个系统"), Field("url", "网址", "url"), Field("topics", "主题，空格分隔（全部不填）", is_needed=False))),
        (Form("resume", "重新启用", "webhook:edit", lambda here, now, v: _none(webhooks.change(now, UUID(v["id"]), _version(v), is_active=True))),
         Form("remove", "取消", "webhook:edit", lambda here, now, v: _none(webhooks.remove(now, UUID(v["id"]), _version(v))))),
    ),
    "audit": Area(
        "审计", "audit:read", lambda here, now, paging: reading.listed(now, paging),
        (("时间", _column("at")), ("何人", _column("actor")), ("依据", _column("authority")), ("做了什么", _column("action")), ("对什么", _column("target")), ("封存", _column("chain_number"))),
        lambda row: str(row.position), is_watched=True,
    ),
}  # fmt: skip
"""Name in the address → what is kept there."""


def _none(_: object) -> None:
    """Done, and nothing to show."""
