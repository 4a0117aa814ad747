"""What columns and codes of the marts are called in Chinese, for messages of rules and for whoever reads them.

Names come from the contracts; here is what only the marts have. What does not belong here: what rules say.
"""

import re
from collections.abc import Mapping
from functools import cache

from models.domain.codes import code_tables
from models.domain.contracts import SUBJECTS, columns
from quality.catalogue.subjects import TABLES

EMPTY = "空"
"""What stands in a message for a value that is not there."""
_ZONE = re.compile(r"(\.\d+)?[+-]\d\d(:\d\d)?$")
_TITLES = {
    "source": "数据来源", "material_count": "申请材料份数", "contact_id_is_valid": "联系人或代理人证件号码", "contact_phone_flaw": "联系人手机号码", "correction_count": "补正次数",
    "has_invalid_extension": "延长审批", "has_invalid_pause": "特别程序", "is_department_stated": "受理单位", "is_told_once_in_time": "一次性告知", "names_certificate": "结果证照编号",
    "received_on": "收件日期", "type_code": "事项类型", "previous_activity_code": "上一环节", "previous_ended_at": "上一环节的结束时间", "previous_occurred_at": "上一环节的开始时间",
    "previous_sequence": "上一环节的序号", "applicant_name_flaw": "申请者名称", "date": "日期", "measure_code": "指标", "department_code": "部门", "valid_from": "生效日期",
}  # fmt: skip
_CODES = {"type_code": "A.1", "previous_activity_code": "L.activity"}
_LISTED = {"handling_form_codes": "A.5", "service_object_codes": "A.4"}
"""Column of codes, comma-separated → code table."""
_FLAWS = {
    "spaces": "有多余的空格", "garbled": "是乱码", "placeholder": "是占位文字", "characters": "含有不该有的字符", "short": "太短", "missing": "没有填", "length": "位数不对",
    "form": "不是有效的号段",
}  # fmt: skip
"""What ``…_flaw`` columns say of a value that the marts do not hold."""
_STATED = {"names_certificate": ("写有", "没有写"), "is_department_stated": ("写有", "没有写"), "is_told_once_in_time": ("按期告知", "没有按期告知"), "contact_id_is_valid": ("符合校验规则", "不符合校验规则"),
           "has_invalid_pause": ("有不合规定的", "没有不合规定的"), "has_invalid_extension": ("有不合规定的", "没有不合规定的")}  # fmt: skip
"""Column → what its true and its false mean; 是 and 否 where its title alone says it."""


@cache
def _contract(table: str) -> Mapping[str, tuple[str, str | None]]:
    """Column → title and code table, as the contract of the mart's subject says."""
    subject = TABLES[table].subject if table in TABLES else ""
    return {name: (column.title, column.code_table) for name, column in columns(SUBJECTS[subject]).items()} if subject in SUBJECTS else {}


def title_of(table: str, column: str) -> str:
    """What people call a column of a mart; its name where nothing better is known.

    Args:
        table: The mart.
        column: Its column.
    """
    known = _contract(table)
    for name in (column, column.removesuffix("_masked"), column.removesuffix("_digest"), column.removesuffix("_is_valid"), column.removeprefix("recorded_")):
        if name in known:
            return known[name][0]
    return _TITLES.get(column, column)


def code_table_of(table: str, column: str) -> str | None:
    """The code table whose codes a column of a mart holds; None for none."""
    return _contract(table).get(column, (None, None))[1] or _CODES.get(column)


def said(table: str, column: str | None, value: str | None) -> str:
    """A value of a column as people read it: the name of its code, 是 and 否, what a flaw means.

    Args:
        table: The mart.
        column: Its column; None: the value stands for itself.
        value: The value as text, as the ledger of violations has it.
    """
    if value is None or column is None:
        return value or ""
    if column.endswith("_flaw"):
        return _FLAWS.get(value, value)
    if value in ("true", "false"):
        return _STATED.get(column, ("是", "否"))[value == "false"]
    if column.endswith("_at"):
        return _ZONE.sub("", value)
    if column in _LISTED:
        return "、".join(code_tables()[_LISTED[column]].get(code, code) for code in value.split(","))
    codes = code_table_of(table, column)
    return code_tables()[codes].get(value, value) if codes else value


def said_sql(table: str, column: str) -> str:
    """SQL that says the value of a column of the row ``t`` as people read it; :data:`EMPTY` where there is none."""
    text = f"CAST(t.{column} AS VARCHAR)"
    if column.endswith("_at"):  # in the zone of the connection, which people need not be told
        text = f"regexp_replace({text}, '{_ZONE.pattern}', '')"
    if column in _LISTED:
        names = _map(_LISTED[column])
        text = f"array_to_string(list_transform(string_split({text}, ','), lambda one: coalesce({names}[one], one)), '、')"
    elif codes := code_table_of(table, column):
        text = f"{_map(codes)}[{text}], {text}"
    return f"coalesce({text}, '{EMPTY}')"


def _map(codes: str) -> str:
    return "MAP {" + ", ".join(f"{quoted(code)}: {quoted(label)}" for code, label in code_tables()[codes].items()) + "}"


def quoted(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"
