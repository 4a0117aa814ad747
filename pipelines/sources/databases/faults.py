"""Faults of databases in one sentence: what is wrong and what to do, without address, user or password.

What a driver says is never shown: it may quote the address, values of rows, or the query.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from models.domain.errors import YiwangError

_SENTENCES = {
    "3D000": "没有这个库，请检查 location 中的库名",
    "3F000": "没有这个模式或表，请检查 table 或 query",
    "42P01": "没有这张表，请检查 table 或 query 中的表名与模式名",
    "42703": "查询中的列不存在，请检查 query",
    "42501": "没有读取权限，请让数据库管理员授予该用户对此表的 SELECT 权限",
    "25006": "会话是只读的，query 不能改动数据",
    "57014": "查询超过了 timeout，请调大该项或为 position 的列建索引",
    "55P03": "表被其他会话锁住，等待超时，请稍后再试",
    "53300": "数据库的连接数已满，请稍后再试",
    "40001": "从库的恢复与本次读取冲突，请稍后再试",
}
_CLASSES = {
    "28": "用户或密码不对，或不允许从本机登录，请检查 location 用到的环境变量",
    "08": "连接中断，请检查网络与数据库后重试",
    "57": "连接中断，数据库正在关闭或重启，请稍后再试",
    "53": "数据库资源不足，请联系数据库管理员",
    "42": "查询写法不对，请检查 table 与 query",
    "22": "数据库在计算 query 时出错，请检查其中的表达式",
}
_WORDS = (
    (r"no such table|undefined table|doesn't exist", _SENTENCES["42P01"]),
    (r"statement timeout|语句.*超时|interrupted", _SENTENCES["57014"]),
    (r"lock timeout|锁.*超时", _SENTENCES["55P03"]),
    (r"read-only transaction|只读", _SENTENCES["25006"]),
    (r"division by zero|out of range|invalid input|除以零", _CLASSES["22"]),
    (r"conflict with recovery", _SENTENCES["40001"]),
    (r"no such column", _SENTENCES["42703"]),
    (r"unable to open database file|readonly|not authorized", "打不开数据库文件，请检查路径与读取权限"),
    (r"file is not a database|malformed|disk image", "文件不是 SQLite 数据库或已损坏，请重新取得该文件"),
    (r"database is locked|database table is locked", "数据库被其他程序锁住，等待超时，请稍后再试"),
    (r"syntax error|incomplete input", _CLASSES["42"]),
    (r"password|authentication|pg_hba|role \"|access denied|认证|口令", _CLASSES["28"]),
    (r"database \".*\" does not exist|unknown database", _SENTENCES["3D000"]),
    (r"too many (clients|connections)|connection slots", _SENTENCES["53300"]),
    (r"starting up|shutting down|recovery mode", "数据库正在启动或关闭，请稍后再试"),
    (r"translate host name|name or service|refused|unreachable|timeout expired|timed out|no such file|failed to connect", "连不上数据库，请检查主机、端口与网络"),
    (r"closed the connection|terminating connection|connection.*(lost|reset)|broken pipe|no connection|eof detected", _CLASSES["08"]),
)


def fault(source: str, detail: str) -> YiwangError:
    """The error of a database source."""
    return YiwangError("YW-SYNC-007", source=source, detail=detail)


def sentence(error: BaseException) -> str:
    """What an error of a driver means for the operator."""
    text = str(error)
    found = re.search(r"SQLSTATE: ([0-9A-Z]{5})", text)
    state = getattr(error, "sqlstate", None) or (found.group(1) if found else "")
    if state and (known := _SENTENCES.get(state) or _CLASSES.get(state[:2])):
        return known
    for pattern, known in _WORDS:
        if re.search(pattern, text, re.IGNORECASE):
            return known
    return f"数据库报错（{state or type(error).__name__}），请联系数据库管理员"


@contextmanager
def faults(source: str, *kinds: type[BaseException]) -> Iterator[None]:
    """Turn errors of a driver into YW-SYNC-007, without what the driver said."""
    try:
        yield
    except kinds as error:
        raise fault(source, sentence(error)) from None
