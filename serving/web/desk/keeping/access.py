"""Sessions, keys of systems, the audit."""

from uuid import UUID

from models.core.access import service as access
from models.core.audit import reading
from models.core.audit.titles import ACTIONS, authority_title
from models.core.policy.service import Grant
from models.core.work.service import Work
from serving.web.desk.common import Visit
from serving.web.desk.keeping.types import Area, Field, Form, Values, column, nothing, roles, start_of, text


def _issue(here: Visit, now: Work, values: Values) -> str:
    at = start_of(values["expires_on"], here.operations.settings.tzinfo)
    return access.issue_key(now, values["name"], [Grant(values["role"], values["unit_code"])], at, values["unit_code"]).secret


AREAS: dict[str, Area] = {
    "sessions": Area(
        "会话", "session:read", lambda here, session, paging, v: access.sessions(session, paging, here.at),
        (("谁", column("subject")), ("登录", column("created_at")), ("最近使用", column("used_at")), ("方式", lambda here, row: "、".join(row.methods))), text("id"), (), (),
        (Form("end", "结束", "session:end", lambda here, now, v: nothing(access.end_session(now, UUID(v["id"]), "administrator"))),),
    ),
    "keys": Area(
        "系统密钥", "key:read", lambda here, session, paging, v: access.keys(session, paging),
        (("系统", column("name")), ("角色", lambda here, row: "、".join(row.grants)), ("到期", column("expires_at")), ("确认", column("confirmed_at")), ("吊销", column("revoked_at"))), text("id"), (),
        (Form("create", "签发密钥", "key:edit", _issue,
              (Field("name", "给哪个系统"), Field("role", "角色", "choice", roles), Field("unit_code", "机构（全部不填）", "unit", is_needed=False), Field("expires_on", "到期日", "date"))),),
        (Form("confirm", "确认", "key:confirm", lambda here, now, v: nothing(access.confirm_key(now, UUID(v["id"])))),
         Form("revoke", "吊销", "key:edit", lambda here, now, v: nothing(access.revoke_key(now, UUID(v["id"])))),),
    ),
    "audit": Area(
        "审计", "audit:read",
        lambda here, now, paging, v: reading.listed(now, paging, actor=v["actor"] or None, target=v["target"] or None, action=v["action"] or None),
        (("时间", lambda here, row: row.at if row.is_readable else f"第 {row.position} 行无法读取，请运行 yiwang audit verify"), ("何人", column("actor")), ("依据", lambda here, row: authority_title(row.authority, here.units)), ("做了什么", lambda here, row: ACTIONS.get(row.action, row.action)), ("对什么", column("target")), ("封存", column("chain_number"))),
        text("position"),
        (Field("actor", "何人", is_needed=False), Field("action", "做了什么", "choice", lambda: {"": "（不限）"} | ACTIONS, is_needed=False), Field("target", "对什么", is_needed=False)), is_watched=True,
    ),
}  # fmt: skip
