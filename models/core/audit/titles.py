"""What the audit's actions are called in Chinese, for people who read it; the rows hold the codes, which never change."""

from collections.abc import Mapping

from models.core.policy.service import policy, role_title

ACTIONS: dict[str, str] = {
    "appointment.booked": "预约", "appointment.called": "叫号", "appointment.cancelled": "取消预约", "appointment.missed": "记为未到", "appointment.served": "预约办结",
    "audit.read": "查看审计记录", "authorisation.given": "登记代理授权", "authorisation.revoked": "撤销代理授权", "calendar.decided": "确定工作日",
    "case.amended": "修改申请内容", "case.moved": "办理办件", "case.opened": "建立办件", "case.removed": "删除草稿", "case.revealed": "查看申请内容明文", "city.poured": "灌入样例城市",
    "complaint.filed": "提出投诉", "complaint.withdrawn": "撤回投诉", "feedback.visited": "登记回访", "identity.linked": "绑定身份", "identity.unlinked": "解除身份绑定", "job.asked": "要求后台任务", "job.cancelled": "取消后台任务",
    "job.retried": "重试后台任务", "jurisdiction.ended": "终止辖区", "jurisdiction.given": "确定辖区", "key.confirmed": "确认系统密钥", "key.issued": "签发系统密钥", "key.revoked": "吊销系统密钥",
    "login.failed": "登录失败", "login.locked": "登录锁定", "matter.published": "发布事项", "notice.published": "发布公告", "notice.withdrawn": "撤下公告",
    "party.amended": "修改办事主体", "party.registered": "登记办事主体", "party.removed": "注销办事主体", "party.revealed": "查看办事主体明文", "party.searched": "查找办事主体",
    "process.published": "发布流程", "review.appealed": "申诉评价", "review.code_handed_out": "发放评价码", "review.defaulted": "默认评价", "review.excluded": "评价不计入", "review.given": "评价",
    "review.given_again": "整改后再评价", "role.given": "授予角色", "role.withdrawn": "收回角色", "session.begun": "登录", "session.ended": "结束会话", "staff.added": "添加人员", "staff.changed": "修改人员",
    "staff.left": "人员离开", "task.claimed": "领取待办", "task.released": "释放待办", "unit.changed": "修改机构", "unit.created": "设立机构", "unit.moved": "移动机构", "unit.retired": "撤销机构",
    "webhook.changed": "修改推送", "webhook.created": "建立推送", "webhook.removed": "取消推送", "webhook.secret_changed": "更换推送密钥", "webhook.skipped": "跳过推送", "webhook.switched_off": "停用推送",
    "window.changed": "修改窗口", "window.created": "设立窗口", "window.retired": "撤销窗口",
}  # fmt: skip
"""Action → title; a test holds it to what the code writes down."""


_AUTHORITIES = {
    "self": "本人", "time": "时限届满", "schedule": "定期任务", "relay": "推送", "log-in": "登录", "console": "命令行", "sample": "灌入样例", "back-channel log-out": "统一身份认证通知退出",
    "complaint": "投诉", "bad review": "差评", "appeal": "申诉", "authorisation": "代理授权",
}  # fmt: skip


def authority_title(authority: str, units: Mapping[str, str] | None = None) -> str:
    """On what somebody acted, for people: ``permission:case:act``, ``clerk@B01 for party:…``, ``self``, ``authorisation:…``; what is unknown stays as it is.

    Args:
        authority: As it was written down.
        units: Code → name, where they are at hand.
    """
    basis, _, principal = authority.partition(" for ")
    name, _, rest = basis.partition(":")
    role, _, unit = basis.partition("@")
    if name == "permission" and rest in policy().permissions:
        return policy().permissions[rest].title
    if role in policy().roles:
        return role_title(role) + (f"，{(units or {}).get(unit, unit)}" if unit else "") + ("，应申请人要求" if principal else "")
    return _AUTHORITIES.get(name, authority)
