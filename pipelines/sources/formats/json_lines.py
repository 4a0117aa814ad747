"""JSON: one object a line, or the objects of an array.

Numbers are the text that stands in the file (an identifier of twenty digits, ``12.50``): never a float in between.
That, and keys that stand twice in an object, is why the standard library's decoder is used here and not a faster one.
"""

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from pipelines.sources.formats import Record, Records
from pipelines.sources.formats.text import CHUNK, as_utf8, encoding_of, opened

LONGEST = 1 << 24
"""Bytes of a line, or of an element of an array, beyond which it is no record."""
LARGEST_DOCUMENT = 1 << 28
"""Bytes of a document of which only a part holds the records: it is read at once."""
_SHOWN = 1_000
_BLANKS = re.compile(r"[ \t\r\n]*")


class _Number(str):
    """A number as it is written."""


class _NoNumber(str):
    """``NaN`` and the like, which JSON has not."""


class _Twice(dict[str, Any]):
    """An object in which a key stands twice."""


class _FaultError(Exception):
    """A fault of one record, with its sentence for people."""


class _Window:
    """What is read of a text, and the place in it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._decoder = file, codecs.getincrementaldecoder("utf-8")()
        self._buffer, self._at = "", 0

    def _more(self) -> bool:
        rest = self._buffer[self._at :]
        chunk = self._file.read(max(CHUNK, len(rest)))
        self._buffer, self._at = rest + self._decoder.decode(chunk, final=not chunk), 0
        return bool(chunk)

    def peek(self) -> str:
        """The next character that is not blank; nothing at the end."""
        while True:
            self._at = _BLANKS.match(self._buffer, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._buffer) or not self._more():
                return self._buffer[self._at : self._at + 1]

    def take(self) -> str:
        """The same, and it is behind us."""
        character = self.peek()
        self._at += 1
        return character

    def value(self) -> Any:
        """The next value; ValueError where there is none, or it is too long."""
        self.peek()
        while True:
            try:
                value, self._at = _decoder.raw_decode(self._buffer, self._at)
                return value
            except ValueError:
                if len(self._buffer) - self._at > LONGEST or not self._more():
                    raise


class JsonLines(Records):
    """JSON Lines, or a document with an array of records.

    A nested value is a column by its path (``applicant.name``), a list is JSON text; so is an object that some field
    takes as a whole.
    """

    name = "jsonl"
    suffixes = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")
    varies = True

    def records(self) -> Iterator[Record]:
        """Lines or elements; ``number`` is the line, or the place in the array from 1."""
        taken = {spec.column for other in self.reading.source_file.sources if other.reads_same(self.source) for spec in other.fields.values()}
        self._whole = {column.lower() for column in taken if column}
        encoding = encoding_of(self.source, self.file)
        plain = encoding == "utf-8-sig"
        path = self.file.path if plain else as_utf8(self.file, encoding, self.reading.scratch)
        try:
            found = 0
            for record in self._found(path):
                found += bool(record.values)
                yield record
            if not found and self._any_fault:
                raise self.unreadable("没有一行是 JSON 对象")
        finally:
            if not plain:
                path.unlink(missing_ok=True)

    def _found(self, path: Path) -> Iterator[Record]:
        self._any_fault = False
        with opened(path) as file:
            if file.read(3) != b"\xef\xbb\xbf":
                file.seek(0)
            start = file.tell()
            head = file.read(1 << 16).lstrip()
            file.seek(start)
            if self.source.records is not None or head[:1] == b"[":
                yield from self._array(file)
            elif head.split(b"\n", 1)[0].rstrip() == b"{":  # an object that goes on after its first line
                yield self._record(1, self._document(file))
            else:
                yield from self._lines(file)

    # --- lines ---

    def _lines(self, file: IO[bytes]) -> Iterator[Record]:
        number = 0
        while line := file.readline(LONGEST + 1):
            number += 1
            if len(line) > LONGEST:
                shown = line[:_SHOWN].decode("utf-8", "replace")
                while line and not line.endswith(b"\n"):
                    line = file.readline(CHUNK)
                yield self._fault(number, f"第 {number} 行太长（超过 {LONGEST >> 20} MB）", shown)
                continue
            if not line.strip():
                continue
            try:
                text = line.decode().rstrip("\r\n")
            except UnicodeDecodeError:
                yield self._fault(number, f"第 {number} 行无法解析：含有不是 UTF-8 的字节", line.decode("utf-8", "replace"))
                continue
            try:
                yield self._record(number, _decoder.decode(text))
            except _FaultError as error:
                yield self._fault(number, f"第 {number} 行无法解析：{error}", text)
            except (ValueError, RecursionError):
                yield self._fault(number, f"第 {number} 行无法解析：不是完整的 JSON 对象", text)

    def _fault(self, number: int, fault: str, line: str) -> Record:
        self._any_fault = True
        return Record(number, {}, fault, line.encode("utf-8", "replace").decode())

    # --- documents ---

    def _document(self, file: IO[bytes]) -> Any:
        content = file.read(LARGEST_DOCUMENT + 1)
        if len(content) > LARGEST_DOCUMENT:
            raise self.unreadable(f"JSON 文档超过 {LARGEST_DOCUMENT >> 20} MB，请改为每行一个对象（JSON Lines）")
        try:
            return _decoder.decode(content.decode())
        except (ValueError, RecursionError) as error:
            raise self.unreadable("不是完整的 JSON") from error

    def _array(self, file: IO[bytes]) -> Iterator[Record]:
        if self.source.records:
            elements: Any = self._document(file)
            for step in self.source.records.split("."):
                elements = elements.get(step) if isinstance(elements, Mapping) else None
            if not isinstance(elements, list):
                raise self.unreadable(f"{self.source.records} 不是记录的数组")
            stream = iter(elements)
        else:
            stream = self._elements(file)
        for number, element in enumerate(stream, 1):
            try:
                yield self._record(number, element)
            except _FaultError as error:
                yield self._fault(number, f"第 {number} 条无法解析：{error}", json.dumps(element, ensure_ascii=False))

    def _elements(self, file: IO[bytes]) -> Iterator[Any]:
        """The elements of an array, of which only one is in memory."""
        window = _Window(file)
        number = 0
        try:
            if window.take() != "[":
                raise self.unreadable("不是数组")
            mark = "," if window.peek() != "]" else window.take()
            while mark == ",":
                yield window.value()
                number += 1
                mark = window.take()
            if mark != "]" or window.peek():
                raise self.unreadable(f"第 {number} 条之后不是合法的 JSON")
        except UnicodeDecodeError as error:
            raise self.unreadable("含有不是 UTF-8 的字节") from error
        except (ValueError, RecursionError) as error:
            raise self.unreadable(f"第 {number + 1} 条不是完整的 JSON，或超过 {LONGEST >> 20} MB") from error

    # --- records ---

    def _record(self, number: int, value: Any) -> Record:
        if not isinstance(value, dict):
            raise _FaultError("不是 JSON 对象")
        values: dict[str, str | None] = {}
        self._flatten("", value, values)
        return Record(number, values)

    def _flatten(self, prefix: str, value: Mapping[str, Any], values: dict[str, str | None]) -> None:
        _check(value)
        for key, inner in value.items():
            path = prefix + key
            if path in values:
                raise _FaultError(f"键 {path} 出现两次")
            if isinstance(inner, dict) and inner and path.lower() not in self._whole:
                self._flatten(path + ".", inner, values)
            else:
                values[path] = _leaf(inner)


def _leaf(value: Any) -> str | None:
    if value is None:
        return None
    if type(value) is str:
        return _whole_text(value)
    return _text(value)


def _text(value: Any) -> str:
    """A value as JSON text, numbers as they were written."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, _NoNumber):
        raise _FaultError(f"{value} 不是数")
    if isinstance(value, dict):
        _check(value)
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return json.dumps(_whole_text(value) if isinstance(value, str) else value, ensure_ascii=False)


def _check(value: Mapping[str, Any]) -> None:
    if isinstance(value, _Twice):
        raise _FaultError("同一个键出现两次")
    _whole_text("".join(value))


def _whole_text(value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _FaultError("含有不成对的代理字符") from None
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Twice(found)


_decoder = json.JSONDecoder(parse_float=_Number, parse_int=_Number, parse_constant=_NoNumber, object_pairs_hook=_once)
