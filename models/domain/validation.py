"""What is wrong with a value that pydantic refuses, in Chinese: whoever wrote it reads no English."""

from collections.abc import Mapping
from typing import Any

_OWN = "Value error, "
_WORDS = {
    "missing": "缺少这一项", "extra_forbidden": "没有这一项", "literal_error": "应为 {expected}", "enum": "应为 {expected}",
    "greater_than": "应大于 {gt}", "greater_than_equal": "不能小于 {ge}", "less_than": "应小于 {lt}", "less_than_equal": "不能大于 {le}",
    "finite_number": "应为有限的数", "string_too_short": "至少要有 {min_length} 个字", "string_too_long": "不能超过 {max_length} 个字",
    "too_short": "至少要有 {min_length} 项", "too_long": "不能超过 {max_length} 项", "string_pattern_mismatch": "含有不允许的字符，或格式不对",
}  # fmt: skip
_KINDS = {
    "string": "应为文字", "bool": "应为 true 或 false", "int": "应为整数", "float": "应为数", "decimal": "应为数", "datetime": "应为时间，如 2026-06-30T09:00:00+08:00",
    "date": "应为日期，如 2026-06-30", "time": "应为时刻，如 09:00", "list": "应为列表", "tuple": "应为列表", "set": "应为列表", "dict": "应由键和值组成",
    "model": "应由键和值组成", "path": "应为文件路径", "url": "应为网址", "uuid": "应为标识", "json": "应为合法的 JSON", "none": "应为空", "timedelta": "应为时长",
}  # fmt: skip
"""First word of an error's type (``date_from_datetime_parsing``) → what the value should be."""


def said(fault: Mapping[str, Any]) -> str:
    """What one error of ``ValidationError.errors()`` says, in Chinese; a validator's own words are taken as they are.

    Args:
        fault: The error: ``type``, ``msg`` and ``ctx`` are read.
    """
    kind, message = str(fault["type"]), str(fault["msg"])
    if message.startswith(_OWN):
        return message.removeprefix(_OWN)
    if kind in _WORDS:
        return _WORDS[kind].format(**{key: str(value).replace(" or ", "、").replace(", ", "、") for key, value in fault.get("ctx", {}).items()})
    return _KINDS.get(kind.partition("_")[0], "写法不对")
