"""JSON as a server sends it, without loss: numbers keep their digits, nothing is dropped in silence.

A record becomes a row of text: the value at ``applicant.name`` is in the column of that name, lists are JSON text,
what is absent is null. What does not belong here: requests, and what columns mean.
"""

import codecs
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from email.message import Message
from typing import Any

import orjson
import pyarrow as pa

MAX_COLUMNS = 2000
_DEPTH = 10
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_RESERVED = {"_file_id", "_file_row", "_fault", "_line"}


class Number(str):
    """A JSON number, digit for digit."""

    __slots__ = ()


class Broken(Exception):
    """A body or a record that cannot be read; its text is the sentence for people."""


class Ambiguous(Broken):
    """What is wrong is wrong by design: asking again helps nothing."""


def parse(body: bytes, headers: Mapping[str, str]) -> Any:
    """A JSON document; numbers as :class:`Number`.

    UTF-8 or UTF-16 (with or without mark) before what the header says, and GB18030 at last.

    Raises:
        Broken: No JSON.
        Ambiguous: Two members of one name.
    """
    try:
        return json.loads(_text(body, _charset(headers)), parse_float=Number, parse_int=Number, parse_constant=_no_number, object_pairs_hook=_members)
    except (ValueError, RecursionError):
        start = body[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        what = "一个网页" if start.startswith(b"<") else "空的" if not start else "不合法的 JSON"
        raise Broken(f"的应答不是 JSON，而是{what}" if what != "不合法的 JSON" else "的应答是不合法的 JSON") from None


def _charset(headers: Mapping[str, str]) -> str | None:
    message = Message()
    message["content-type"] = headers.get("content-type", "")
    return message.get_content_charset()


def _text(body: bytes, charset: str | None) -> str:
    for encoding in ("utf-8-sig" if body.startswith(codecs.BOM_UTF8) else json.detect_encoding(body[:4]), charset or "utf-8"):
        try:
            return body.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            pass
    return body.decode("gb18030")


def _no_number(text: str) -> Any:
    raise ValueError


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Ambiguous(f"的应答中有同名的键“{twice[:40]}”，无法判断取哪一个，请联系接口的管理方")
    return members


def at(document: Any, path: str) -> Any:
    """The value at a path such as ``data.items[0].code``; None where there is none.

    A member whose own name is the whole path comes first.
    """
    if isinstance(document, dict) and path in document:
        return document[path]
    for name, index in _STEP.findall(path):
        if index:
            document = document[int(index)] if isinstance(document, list) and int(index) < len(document) else None
        else:
            document = document.get(name) if isinstance(document, dict) else None
    return document


def mark(record: Any) -> str:
    """Digest of all that a record says."""
    return hashlib.blake2b(_json(record, orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()


def as_text(value: Any) -> str | None:
    """A value as text: lists and objects as JSON."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _json(value).decode()


def _json(value: Any, option: int = 0) -> bytes:
    def exact(number: Any) -> Any:
        return orjson.Fragment(str(number))

    try:
        return orjson.dumps(value, default=exact, option=option | orjson.OPT_PASSTHROUGH_SUBCLASS)
    except (TypeError, orjson.JSONEncodeError):  # half a surrogate pair
        return json.dumps(value, sort_keys=bool(option)).encode()


def table(records: Sequence[Mapping[str, Any]], wanted: Iterable[str]) -> pa.RecordBatch:
    """Records as columns of text: each value that is no object under its path, and each wanted path that is there.

    Raises:
        Broken: A record is no object, or columns cannot be told apart.
    """
    rows: list[dict[str, str | None]] = []
    for record in records:
        row: dict[str, str | None] = {}
        _flatten(record, "", row, _DEPTH)
        rows.append(row)
    names: dict[str, None] = {}
    for row in rows:
        if not row.keys() <= names.keys():
            names |= dict.fromkeys(row)
    for path in dict.fromkeys(wanted):
        if path not in names:
            values = [at(record, path) for record in records]
            if any(value is not None for value in values):
                names[path] = None
                for row, value in zip(rows, values, strict=True):
                    row[path] = as_text(value)
    if len(names) > MAX_COLUMNS:
        raise Broken(f"的记录有超过 {MAX_COLUMNS} 个不同的字段，请检查 records 所指的是不是记录的列表")
    lower = [name.lower() for name in names]
    if len(set(lower)) < len(lower):
        twice = sorted(name for name in names if lower.count(name.lower()) > 1)
        raise Broken(f"的记录有分不清的字段：{'、'.join(twice[:4])}")
    if reserved := _RESERVED & set(lower):
        raise Broken(f"的记录不能有名为 {'、'.join(sorted(reserved))} 的字段")
    return pa.RecordBatch.from_arrays([_column([row.get(name) for row in rows]) for name in names], names=list(names))


def _flatten(record: Any, prefix: str, row: dict[str, str | None], depth: int) -> None:
    for member, value in record.items():
        name = prefix + member
        kind = type(value)
        if kind is dict and depth:
            _flatten(value, name + ".", row, depth - 1)
            continue
        if name in row:
            raise Broken(f"的记录有分不清的字段：{name[:40]}")
        row[name] = value if kind is str or value is None else as_text(value)


def _column(values: list[str | None]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:  # half a surrogate pair: no text can hold it
        return pa.array([v and v.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for v in values], pa.string())


def is_empty(name: str, batch: pa.RecordBatch) -> bool:
    """Whether a column is null where other records have an object."""
    return batch.column(name).null_count == batch.num_rows and any(other.startswith(name + ".") for other in batch.schema.names)
