"""Errors that users see: one catalogue of messages with stable codes ``YW-<ROOM>-nnn``.

A message says what is wrong and what to do, in one sentence, in Chinese. The command line prints it and
ends with exit code 2; HTTP answers it as problem+json (RFC 9457). Add a message here, never at its use.
"""

from http import HTTPStatus
from typing import Any

MESSAGES: dict[str, tuple[HTTPStatus, str]] = {
    "YW-DOMAIN-001": (HTTPStatus.UNPROCESSABLE_ENTITY, "日期“{value}”无法识别，请使用 2026-06-30 这样的格式。"),
    "YW-SYNC-001": (HTTPStatus.UNPROCESSABLE_ENTITY, "数据源配置 {path} 有误：{detail}。请改正后重试。"),
    "YW-SYNC-002": (HTTPStatus.UNPROCESSABLE_ENTITY, "数据源“{source}”的位置 {location} 没有可读的文件，请检查路径或环境变量。"),
    "YW-SYNC-003": (HTTPStatus.UNPROCESSABLE_ENTITY, "{path} 缺少列 {columns}，请补上该列或在 fields 中改写映射；来源确不再提供该列时，在 fields 中给该字段写 optional: true。"),
    "YW-SYNC-004": (HTTPStatus.UNPROCESSABLE_ENTITY, "文件 {path} 无法读取：{detail}。请重新导出该文件。"),
    "YW-SYNC-005": (HTTPStatus.UNPROCESSABLE_ENTITY, "找不到数据源配置 {path}，请先运行 yiwang sample 或用 --sources 指定。"),
    "YW-SYNC-006": (HTTPStatus.UNPROCESSABLE_ENTITY, "数据源“{source}”的{subject}一次少了 {vanished} 条（原有 {there} 条），超过 vanished_limit，已停止删除；请核对来源，确属删除时调高该项。"),
    "YW-SYNC-007": (HTTPStatus.SERVICE_UNAVAILABLE, "数据库来源“{source}”无法读取：{detail}；已读入的数据不受影响，处理后再次运行即从中断处继续。"),
    "YW-SYNC-008": (HTTPStatus.BAD_GATEWAY, "数据源“{source}”的接口 {url} {detail}。已读入的数据保留，下次同步接着读取。"),
    "YW-CORE-001": (HTTPStatus.CONFLICT, "不能“{action}”：{detail}。"),
    "YW-CORE-002": (HTTPStatus.FORBIDDEN, "不能“{action}”：须由“{role}”办理。"),
    "YW-CORE-003": (HTTPStatus.UNPROCESSABLE_ENTITY, "不能“{action}”：{detail}。"),
    "YW-CORE-004": (HTTPStatus.UNPROCESSABLE_ENTITY, "流程定义 {path} 有误：{detail}。"),
    "YW-CORE-005": (HTTPStatus.UNPROCESSABLE_ENTITY, "幂等键 {key} 已用于另一个请求，请换一个。"),
    "YW-CORE-006": (HTTPStatus.CONFLICT, "流程“{process}”第 {version} 版已有办件在用，不能改动；请发布新的版本。"),
    "YW-CORE-007": (HTTPStatus.CONFLICT, "本机时钟比办件的上一个环节早 {seconds} 秒，未作办理；请核对各服务器的时钟后再试。"),
    "YW-CORE-008": (HTTPStatus.CONFLICT, "该待办已由他人领取，请由领取人办理，或由负责人先行释放。"),
    "YW-CORE-009": (HTTPStatus.FORBIDDEN, "不能“{action}”：您已办理本件的“{done}”，它与“{step}”须由不同的人办理，请交由他人。"),
    "YW-MATTER-001": (HTTPStatus.UNPROCESSABLE_ENTITY, "事项的{field}不正确：{detail}。"),
    "YW-CRYPTO-001": (HTTPStatus.INTERNAL_SERVER_ERROR, "{where} 的密文无法解密：内容被改动、不完整，或属于另一条记录；请从备份恢复该值，并运行 yiwang audit verify 核查。"),
    "YW-CRYPTO-002": (HTTPStatus.INTERNAL_SERVER_ERROR, "缺少密钥 {key}，{where} 无法解密；请把它加回 YIWANG_KEYS。"),
    "YW-AUDIT-001": (HTTPStatus.SERVICE_UNAVAILABLE, "业务数据库里还没有审计表，没有可核查的内容；请先启动一次服务，或检查 YIWANG_DATABASE_URL。"),
    "YW-AUDIT-002": (HTTPStatus.INTERNAL_SERVER_ERROR, "核查审计记录时发现问题；请运行 yiwang audit verify 逐条查看。"),
    "YW-OUTBOX-001": (HTTPStatus.NOT_FOUND, "没有名为 {consumer} 的订阅，请先订阅。"),
    "YW-OUTBOX-002": (HTTPStatus.CONFLICT, "业务数据库是从逻辑备份恢复的，{consumer} 的读取位置已失效；请运行 yiwang store rebase，各订阅会重新读取保留的消息。"),
    "YW-APPOINTMENT-001": (HTTPStatus.CONFLICT, "预约没有成功：{detail}。"),
    "YW-ACCESS-001": (HTTPStatus.UNPROCESSABLE_ENTITY, "系统密钥未签发：{detail}。"),
    "YW-ACCESS-002": (HTTPStatus.TOO_MANY_REQUESTS, "登录失败次数过多，请在 {seconds} 秒后再试。"),
    "YW-ACCESS-003": (HTTPStatus.FORBIDDEN, "管理员须用两种方式登录（口令之外再加动态口令或证书），请在统一身份认证处启用后重新登录。"),
    "YW-ACCESS-004": (HTTPStatus.UNAUTHORIZED, "登录没有完成：{detail}。请重新登录。"),
    "YW-ACCESS-005": (HTTPStatus.SERVICE_UNAVAILABLE, "统一身份认证暂时无法使用，请稍后重试，或用访问令牌登录。"),
    "YW-ACCESS-006": (HTTPStatus.BAD_REQUEST, "退出通知无效：{detail}。"),
    "YW-ACCESS-007": (HTTPStatus.FORBIDDEN, "本地登录服务只供开发和测试，只能监听 127.0.0.1，不能监听 {host}。"),
    "YW-ACCESS-008": (HTTPStatus.UNPROCESSABLE_ENTITY, "登录账号未保存或无法读取：{detail}。"),
    "YW-ACCESS-009": (HTTPStatus.FORBIDDEN, "身份已确认，但平台没有登记此账号或已离职，请联系管理员。"),
    "YW-WEBHOOK-001": (HTTPStatus.UNPROCESSABLE_ENTITY, "推送地址不可用：{detail}。"),
    "YW-WEBHOOK-002": (HTTPStatus.BAD_GATEWAY, "消息没有送达（{detail}）；请检查接收方后重试。"),
    "YW-WEBHOOK-004": (HTTPStatus.UNPROCESSABLE_ENTITY, "没有主题 {topics}，可选：{known}。"),
    "YW-WEBHOOK-003": (HTTPStatus.CONFLICT, "只能跳过正在失败的那一条消息；请刷新推送列表后再试。"),
    "YW-JOB-001": (HTTPStatus.INTERNAL_SERVER_ERROR, "后台任务多次中断，已停止重试；请查看日志后在后台任务页面重试。"),
    "YW-JOB-002": (HTTPStatus.CONFLICT, "同样的后台任务已在等待或进行中，请等它结束后再试。"),
    "YW-JOB-003": (HTTPStatus.CONFLICT, "这项后台任务已经结束，不能再取消；请刷新列表。"),
    "YW-JOB-004": (HTTPStatus.INTERNAL_SERVER_ERROR, "后台任务 {kind} 的内容过大，没有排队；请把内容存入数据库，任务里只写标识。"),
    "YW-JOB-005": (HTTPStatus.INTERNAL_SERVER_ERROR, "后台任务超过了允许的时长，已停止；请查看日志，处理后重试。"),
    "YW-JOB-006": (HTTPStatus.INTERNAL_SERVER_ERROR, "后台任务超过了允许的时长仍没有停下，占住了后台程序；请重新启动该程序（yiwang worker，或带着它的 yiwang serve），其余任务随即继续。"),
    "YW-FEEDBACK-001": (HTTPStatus.CONFLICT, "评价没有成功：{detail}。"),
    "YW-POUR-001": (HTTPStatus.CONFLICT, "样例没有灌入：{detail}。"),
    "YW-ORG-001": (HTTPStatus.UNPROCESSABLE_ENTITY, "组织机构未作改动：{detail}。"),
    "YW-PARTY-001": (HTTPStatus.UNPROCESSABLE_ENTITY, "{field}不正确：{detail}。"),
    "YW-PARTY-002": (HTTPStatus.CONFLICT, "该证件号码已登记，请直接使用已有的登记。"),
    "YW-PARTY-004": (HTTPStatus.CONFLICT, "该办事主体还有草稿或未办结的办件，不能注销；请先办结、撤回或由其本人删除。"),
    "YW-PARTY-003": (HTTPStatus.UNPROCESSABLE_ENTITY, "查看{field}的明文须说明理由，请填写后再试。"),
    "YW-POLICY-001": (HTTPStatus.FORBIDDEN, "您没有“{action}”的权限，请联系管理员授权。"),
    "YW-POLICY-003": (HTTPStatus.FORBIDDEN, "您不能为该申请人办理此事项，请先取得有效的授权，或到受理单位的窗口办理。"),
    "YW-POLICY-002": (HTTPStatus.CONFLICT, "不能授予“{role}”：与已有的“{others}”不能由同一人担任，请先收回。"),
    "YW-RUN-001": (HTTPStatus.CONFLICT, "目录 {home} 正被另一次运行占用（进程 {pid}），请等它结束后再试。"),
    "YW-RUN-002": (HTTPStatus.INTERNAL_SERVER_ERROR, "步骤“{step}”失败：{detail}。已发布的数据不受影响，改正后再次运行即可续跑。"),
    "YW-RUN-003": (HTTPStatus.UNPROCESSABLE_ENTITY, "没有任何数据可以确定截止时刻，请用 --as-of 指定或检查数据源。"),
    "YW-RUN-004": (HTTPStatus.UNPROCESSABLE_ENTITY, "截止日 {day} 超出可运行的范围（2004-01-01 至今后一年），请用 --as-of 指定合理的日期或检查数据中的时间。"),
    "YW-RUN-005": (HTTPStatus.UNPROCESSABLE_ENTITY, "严重检查未通过，本次不发布，仍使用上次发布的数据：{detail}。请按 yiwang 文档“质量检查”改正数据后重试。"),
    "YW-RUN-006": (HTTPStatus.INTERNAL_SERVER_ERROR, "工作文件 {path} 已损坏；请恢复备份，或删除它后再次运行：数据会从数据源重新读取，来源已没有的记录和历史不再有。已发布的数据不受影响。"),
    "YW-RUN-007": (HTTPStatus.INTERNAL_SERVER_ERROR, "读写 {path} 失败（{detail}），请检查磁盘空间和目录权限后重试。"),
    "YW-RUN-008": (HTTPStatus.CONFLICT, "数据目录由更新版本的程序写成（目录版本 {found}，本程序只支持到 {known}），未作任何改动；请升级程序，或恢复旧版本的备份。"),
    "YW-RUN-009": (HTTPStatus.CONFLICT, "证件摘要密钥与 {path} 此前使用的不同，继续会让同一人变成两人；请恢复原来的 YIWANG_DIGEST_KEY 或 digest.key，确需更换时删除该文件后再次运行。"),
    "YW-RUN-010": (HTTPStatus.INTERNAL_SERVER_ERROR, "加工结果 {path} 已损坏，已移除；请再次运行，它会重新生成。已发布的数据不受影响。"),
    "YW-RUN-020": (HTTPStatus.UNPROCESSABLE_ENTITY, "回填范围不对：从 {first} 到 {last}、间隔 {every}；起始日不能晚于截止日，间隔只能是 day 或 month。"),
    "YW-STORE-001": (HTTPStatus.SERVICE_UNAVAILABLE, "目录 {home} 还没有已发布的数据，请先运行 yiwang run。"),
    "YW-STORE-002": (HTTPStatus.UNPROCESSABLE_ENTITY, "查询被拒绝：{detail}。这里只能对已发布的表做只读查询。"),
    "YW-STORE-004": (HTTPStatus.GONE, "数据版本 {run_id} 已不再保留，请从第一页重新查询。"),
    "YW-STORE-005": (HTTPStatus.NOT_FOUND, "没有截至 {day} 的数据版本，可用的截止日有：{available}。"),
    "YW-STORE-006": (HTTPStatus.UNPROCESSABLE_ENTITY, "翻页游标无效：{detail}。请从第一页重新查询。"),
    "YW-STORE-007": (HTTPStatus.SERVICE_UNAVAILABLE, "已发布的数据与当前程序版本不符（{detail}），请重新运行 yiwang run 发布数据。"),
    "YW-STORE-008": (HTTPStatus.SERVICE_UNAVAILABLE, "业务数据库暂时无法使用，请稍后重试；已提交的内容不受影响。"),
    "YW-STORE-009": (HTTPStatus.CONFLICT, "业务数据库由更新版本的程序写成（{found}，本程序只支持到 {known}），未作任何改动；请升级程序。"),
    "YW-STORE-010": (HTTPStatus.CONFLICT, "这条记录刚被别人改过，请刷新后再试。"),
    "YW-STORE-012": (HTTPStatus.UNPROCESSABLE_ENTITY, "内容含有无法保存的字符或过大的数值，请检查后再提交。"),
    "YW-STORE-011": (HTTPStatus.NOT_FOUND, "找不到{what}“{key}”。"),
    "YW-SOURCES-001": (HTTPStatus.CONFLICT, "数据源配置已被他人修改，未保存您的改动；请打开最新的版本，把改动合并后再保存。"),
    "YW-SOURCES-002": (HTTPStatus.FORBIDDEN, "此页面已过期或请求不是从本站的页面发出，请刷新页面后重试。"),
    "YW-SOURCES-003": (HTTPStatus.SERVICE_UNAVAILABLE, "检查没有完成：{detail}。未作任何改动，请稍后再试。"),
    "YW-SERVE-001": (HTTPStatus.CONFLICT, "端口 {port} 已被占用，请关闭占用它的程序或用 --port 换一个。"),
    "YW-SERVE-002": (HTTPStatus.FORBIDDEN, "未配置身份认证，不能在 {host} 上对外提供服务；请设置 YIWANG_API_TOKENS 或只监听 127.0.0.1。"),
    "YW-SERVE-003": (HTTPStatus.UNAUTHORIZED, "需要登录，请提供有效的访问令牌。"),
    "YW-SERVE-004": (HTTPStatus.FORBIDDEN, "您没有权限进行此操作，请联系管理员授权。"),
    "YW-SERVE-005": (HTTPStatus.UNPROCESSABLE_ENTITY, "参数 {name} 不正确：{detail}。"),
    "YW-SERVE-006": (HTTPStatus.NOT_FOUND, "没有找到 {what}，请检查地址或编号。"),
    "YW-SERVE-007": (HTTPStatus.INTERNAL_SERVER_ERROR, "系统暂时出错，请稍后再试；编号 {request_id}。"),
    "YW-SERVE-008": (HTTPStatus.METHOD_NOT_ALLOWED, "此地址不支持 {method} 方法，请改用 {allowed}。"),
    "YW-SERVE-010": (HTTPStatus.BAD_REQUEST, "请求须带 Idempotency-Key（8 到 80 个可见字符），重复提交才不会重复办理。"),
    "YW-SERVE-011": (HTTPStatus.PRECONDITION_FAILED, "内容已被他人修改，请重新读取（取得新的 ETag）后再提交。"),
    "YW-SERVE-013": (HTTPStatus.UNPROCESSABLE_ENTITY, "这张表单已经提交过或已失效，内容没有保存；请刷新页面后重新填写。"),
    "YW-SERVE-012": (HTTPStatus.PRECONDITION_REQUIRED, "修改须带 If-Match，其值为读取时得到的 ETag。"),
    "YW-SERVE-014": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "提交的内容超过 {most} 字节，请减少内容后再提交。"),
    "YW-SERVE-015": (HTTPStatus.REQUEST_TIMEOUT, "提交的内容没有在 {waited} 秒内传完，请检查网络后重试。"),
    "YW-SERVE-009": (HTTPStatus.NOT_FOUND, "还没有运行报告，请先运行 make run（或 yiwang run），完成后刷新本页。"),
    "YW-CONFIG-001": (HTTPStatus.UNPROCESSABLE_ENTITY, "设置 {name} 有误：{detail}。"),
    "YW-SAMPLE-001": (HTTPStatus.UNPROCESSABLE_ENTITY, "样例参数有误：{detail}。"),
    "YW-SAMPLE-002": (HTTPStatus.CONFLICT, "目录 {home} 里已有另一座样例城市（{city}），请用 --replace 替换它，或用 --home 换一个目录。"),
    "YW-QUALITY-001": (HTTPStatus.UNPROCESSABLE_ENTITY, "质量规则 {path} {entry}有误：{detail}。请改正后重试。"),
    "YW-QUALITY-002": (HTTPStatus.INTERNAL_SERVER_ERROR, "质量检查未能完成：{detail}。请再次运行，仍不行时查看规则与数据表是否一致。"),
    "YW-QUALITY-003": (HTTPStatus.UNPROCESSABLE_ENTITY, "表格 {path} 不能检查：{detail}。请改正后重试。"),
    "YW-QUALITY-004": (HTTPStatus.INTERNAL_SERVER_ERROR, "质量检查的两种计数不一致，本次不发布：{detail}。下次运行会全部重查，仍不一致时请报告此错误。"),
    "YW-QUALITY-005": (HTTPStatus.UNPROCESSABLE_ENTITY, "不能与植入错误的清单 {path} 对照：{detail}。请先对该样例城市运行一次。"),
    "YW-QUALITY-006": (HTTPStatus.UNPROCESSABLE_ENTITY, "没有数据表 {table}，可选：{known}。请改正名称，还没有数据时先运行 yiwang run。"),
    "YW-REPORT-001": (HTTPStatus.UNPROCESSABLE_ENTITY, "没有可上报的主题“{subject}”，可选：{known}。"),
    "YW-REPORT-002": (HTTPStatus.UNPROCESSABLE_ENTITY, "上报期 {period} 不能建包：{detail}。"),
    "YW-REPORT-003": (HTTPStatus.CONFLICT, "{title} {period} 已建包 {package}，此后没有变化；要再送一次请运行 yiwang report resend {package}。"),
    "YW-REPORT-004": (HTTPStatus.SERVICE_UNAVAILABLE, "已发布的数据没有完好的检查账（{detail}），不能判断哪些记录合格，未建包；请重新运行 yiwang run。"),
    "YW-REPORT-005": (HTTPStatus.INTERNAL_SERVER_ERROR, "上报对账不平：{detail}，未建包；请重新运行 yiwang run，仍不平时用 yiwang doctor 检查。"),
    "YW-REPORT-006": (HTTPStatus.NOT_FOUND, "没有上报包 {package}，请用 yiwang report list 查看已有的包。"),
    "YW-REPORT-007": (HTTPStatus.INTERNAL_SERVER_ERROR, "上报文件 {what} 不可用：{detail}；请从备份恢复后重试。"),
    "YW-REPORT-008": (HTTPStatus.UNPROCESSABLE_ENTITY, "没有建包：{detail}；请改正主键清单后重试。"),
    "YW-REPORT-009": (HTTPStatus.UNPROCESSABLE_ENTITY, "不能签名或核验：{detail}。"),
    "YW-REPORT-010": (HTTPStatus.CONFLICT, "另一次上报正在进行，请等它结束后再试。"),
    "YW-REPORT-011": (HTTPStatus.CONFLICT, "已上报的{title} {reported} 条中有 {gone} 条在来源消失，像是来源不完整，未建包；请核对来源，确属删除时调高 --vanished。"),
    "YW-REPORT-012": (HTTPStatus.CONFLICT, "{path} 已经存在，请换一个目录或先移走它。"),
    "YW-SCORE-001": (HTTPStatus.UNPROCESSABLE_ENTITY, "指标体系 {path} 有误：{detail}。"),
    "YW-SCORE-002": (HTTPStatus.UNPROCESSABLE_ENTITY, "表格 {path} 不能评分：{detail}。"),
    "YW-SCORE-003": (HTTPStatus.UNPROCESSABLE_ENTITY, "不能评分：{detail}。"),
}


class YiwangError(Exception):
    """An error for the user.

    Args:
        code: Key of :data:`MESSAGES`.
        **values: What fills the message.
    """

    def __init__(self, code: str, **values: Any) -> None:
        self.code = code
        self.status, template = MESSAGES[code]
        self.values = values
        super().__init__(template.format(**values))
        self.add_note(code)  # tracebacks, and what Dagster keeps of an error, name the code

    @property
    def message(self) -> str:
        """The sentence for the user, in Chinese."""
        return str(self)
