"""Staff, the roles that they hold, and who may act for whom."""

from uuid import UUID

from models.core.organisation import staff
from models.core.parties import rights
from models.core.processes.service import shipped
from models.core.work.service import Work
from models.domain.errors import YiwangError
from models.store.operational.tables import Staff
from serving.web.desk.common import Visit
from serving.web.desk.keeping.types import (
    REASON,
    UNIT,
    Area,
    Field,
    Form,
    Values,
    column,
    nothing,
    roles,
    start_of,
    text,
    unit,
    version,
)

_ACCOUNT = Field("account", "账号", "account", is_needed=False)


def _grant(here: Visit, now: Work, values: Values) -> None:
    person = _person(now, values)
    until = start_of(values["valid_to"], here.operations.settings.tzinfo) if values["valid_to"] else None
    staff.grant(now, person.id, values["role"], values["unit_code"], until)


def _person(now: Work, values: Values) -> Staff:
    person = staff.staff_by_account(now.session, values["account"])
    if person is None:
        raise YiwangError("YW-STORE-011", what="人员", key=values["account"])
    return person


def _actions() -> dict[str, str]:
    """What an agent may do in the processes that ship, and ``*`` for all of it."""
    known = {action.action: action.title for process in shipped().values() if process.kind == "public" for action in process.actions if process.role_of(action) == "applicant"}
    return {"*": "全部"} | dict(sorted(known.items()))


def _party(typed: str) -> UUID | None:
    return UUID(typed) if typed else None


AREAS: dict[str, Area] = {
    "staff": Area(
        "人员", "staff:read",
        lambda here, session, paging, v: staff.listed(session, here.access, paging, unit_code=v["unit_code"] or None, account=v["account"] or None),
        (("账号", column("account")), ("姓名", column("name")), ("机构", unit("unit_code")), ("电话", lambda here, row: staff.shown(here.operations.crypto, row).phone),
         ("离开", column("left_at"))),
        text("id"), (_ACCOUNT, UNIT),
        (Form("create", "添加人员", "staff:edit",
              lambda here, now, v: nothing(staff.add(now, here.operations.crypto, v["account"], v["name"], v["unit_code"], v["phone"] or None)),
              (Field("account", "账号"), Field("name", "姓名"), Field("unit_code", "机构", "unit"), Field("phone", "电话", is_needed=False))),),
        (Form("change", "修改", "staff:edit",
              lambda here, now, v: nothing(staff.change(now, here.operations.crypto, here.access, UUID(v["id"]), version(v), name=v["name"] or None,
                                                        unit_code=v["unit_code"] or None, phone=v["phone"] or None)),
              (Field("name", "新的姓名", is_needed=False), Field("unit_code", "新的机构", "unit", is_needed=False), Field("phone", "新的电话", is_needed=False))),
         Form("leave", "离开", "staff:edit", lambda here, now, v: nothing(staff.leave(now, here.access, UUID(v["id"]), version(v))))),
    ),
    "grants": Area(
        "角色", "grant:read", lambda here, session, paging, v: staff.grants(
            session, paging, account=v["account"] or None, role=v["role"] or None, unit_code=v["unit_code"] or None),
        (("账号", column("account")), ("角色", lambda here, row: roles().get(row.role, row.role)), ("机构", unit("unit_code")), ("自", column("valid_from")),
         ("至", column("valid_to")), ("授予人", column("given_by"))),
        text("id"), (_ACCOUNT, Field("role", "角色", "choice", lambda: {"": "（不限）"} | roles(), is_needed=False), UNIT),
        (Form("create", "授予角色", "grant:give", _grant,
              (Field("account", "账号", "account"), Field("role", "角色", "choice", roles), Field("unit_code", "机构（不按机构的不填）", "unit", is_needed=False),
               Field("valid_to", "截止日期（长期不填）", "date", is_needed=False))),),
        (Form("withdraw", "收回", "grant:give", lambda here, now, v: nothing(staff.withdraw(now, UUID(v["id"])))),),
    ),
    "authorisations": Area(
        "代理授权", "authorisation:read", lambda here, session, paging, v: rights.authorisations(session, here.access, paging, party_id=_party(v["party_id"])),
        (("委托人", column("principal_id")), ("代理人", column("agent_id")), ("事项", lambda here, row: "、".join(row.matters)), ("操作", lambda here, row: "、".join(_actions().get(each, each) for each in row.actions)),
         ("可代为承诺", lambda here, row: "是" if row.is_special else "否"), ("自", column("valid_from")), ("至", column("valid_to")), ("撤销", column("revoked_at"))),
        text("id"), (Field("party_id", "委托人或代理人标识", is_needed=False),),
        (Form("create", "登记授权", "authorisation:give",
              lambda here, now, v: nothing(rights.give(
                  now, here.operations.crypto, here.access, principal_id=UUID(v["principal_id"]), agent_id=UUID(v["agent_id"]), matters=v["matters"].split(), actions=v["actions"].split(),
                  valid_from=start_of(v["valid_from"], here.operations.settings.tzinfo), valid_to=start_of(v["valid_to"], here.operations.settings.tzinfo),
                  evidence=v["evidence"], is_special=v["is_special"] == "1")),
              (Field("principal_id", "委托人标识（见办事主体页）"), Field("agent_id", "代理人标识"), Field("matters", "事项代码，空格分隔，* 为全部", help="事项代码见“事项”页"),
               Field("actions", "可以代办的操作", "many", _actions), Field("valid_from", "起始日期", "date"), Field("valid_to", "截止日期（该日起失效）", "date"),
               Field("evidence", "授权书的存放位置或编号"), Field("is_special", "可代为作出告知承诺", "choice", lambda: {"0": "否", "1": "是"}))),),
        (Form("revoke", "撤销", "authorisation:revoke", lambda here, now, v: nothing(rights.revoke_given(now, here.access, UUID(v["id"]), v["reason"])), (REASON,)),),
    ),
}  # fmt: skip
