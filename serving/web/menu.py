"""The desk's menu: what is there for whom."""

MENU = (
    ("/desk", "待办", "task:read"), ("/desk/cases", "办件", "case:read"), ("/desk/new", "代办申请", "party:register"), ("/desk/parties", "办事主体", "party:register"),
    ("/desk/keep/authorisations", "代理授权", "authorisation:read"), ("/desk/keep/appointments", "预约", "appointment:read"), ("/desk/keep/opinions", "登记评价和投诉", "feedback:give"), ("/desk/keep/reviews", "评价", "feedback:read"), ("/desk/keep/complaints", "投诉", "feedback:read"), ("/desk/keep/matters", "事项", "matter:read"), ("/desk/keep/processes", "流程", "process:read"), ("/desk/keep/units", "机构", "organisation:read"),
    ("/desk/keep/jurisdictions", "辖区", "organisation:read"), ("/desk/keep/windows", "窗口", "organisation:read"), ("/desk/keep/staff", "人员", "staff:read"), ("/desk/keep/grants", "角色", "grant:read"),
    ("/desk/calendar", "工作日历", "calendar:read"), ("/desk/keep/notices", "公告", "notice:edit"), ("/desk/keep/sessions", "会话", "session:read"),
    ("/desk/keep/keys", "系统密钥", "key:read"), ("/desk/keep/webhooks", "推送", "webhook:read"), ("/desk/keep/jobs", "后台任务", "job:read"), ("/desk/keep/audit", "审计", "audit:read"),
)  # fmt: skip
"""Address, title, and the permission without which it is neither shown nor answered."""
