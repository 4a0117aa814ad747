"""What DuckDB says of a rule's SQL, in Chinese, for whoever wrote the rule."""

import re

import duckdb

_SAID = (
    (re.compile(r"Referenced column \"([^\"]+)\" not found|column named \"([^\"]+)\"|does not have a column named \"([^\"]+)\""), "没有字段 {}"),
    (re.compile(r"Referenced table \"([^\"]+)\" not found"), "没有名为 {} 的数据表，本行的数据表名为 t"),
    (re.compile(r"Table with name \"?([^\s!\"]+)\"? does not exist"), "没有数据表 {}"),
    (re.compile(r"Cannot extract field '([^']+)' from expression \"t\""), "没有字段 {}"),
    (re.compile(r"Could not choose a best candidate function for the function call \"([^\"]+)\""), "运算的类型不符：{}"),
    (re.compile(r"Function with name \"?([^\s\"]+)\"? does not exist"), "没有函数 {}"),
    (re.compile(r"syntax error at or near \"([^\"]+)\""), "SQL 无法解析，“{}”附近有语法错误"),
    (re.compile(r"syntax error at end of input|unterminated"), "SQL 无法解析，它没有写完"),
    (re.compile(r"Ambiguous reference to column name \"([^\"]+)\""), "字段 {} 不止一处有，请在前面写明数据表"),
    (re.compile(r"must appear in the GROUP BY|cannot contain aggregates"), "条件逐行判断，聚合函数只能写在子查询里"),
    (re.compile(r"No function matches the given name and argument types '([^']+)'"), "函数的参数类型不符：{}"),
    (re.compile(r"Could not convert string '([^']*)' to (\S+)"), "“{}”不能转换为 {}"),
    (re.compile(r"Cannot compare values of type (\S+) and type (\S+)"), "{} 与 {} 不能比较"),
)


def said(error: duckdb.Error | str) -> str:
    """One Chinese clause; words of DuckDB that are not known here follow after it, as its own.

    Args:
        error: What was raised, or its message.
    """
    line = str(error).strip().splitlines()[0] if str(error).strip() else ""
    for pattern, words in _SAID:
        if match := pattern.search(line):
            return words.format(*(group for group in match.groups() if group is not None))
    return f"数据库不接受这段 SQL（DuckDB 原文：{line}）"
