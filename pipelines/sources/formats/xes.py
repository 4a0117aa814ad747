"""XES event logs (IEEE 1849-2016), as the public logs of process mining are written.

Parsed by expat as a stream: nothing of the log is kept but the trace at hand, of a long one on disk, and how many events
each trace's name has had. A document type is refused before
anything in it is read, so that no entity is ever expanded and nothing outside is fetched.
"""

import codecs
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from xml.parsers import expat

from pipelines.sources.formats import Record, Records
from pipelines.sources.formats.text import opened
from pipelines.sources.mapping import used_columns

SEQUENCE = "event:sequence"
"""Column that numbers the events of a trace from 1, in the order of the file."""
CASE = "case:"
"""What stands before the names of a trace's attributes."""
CLASSIFIER = "classifier:"
"""What stands before the name of a classifier: a column of its attributes' values, joined by ``+``."""
MOST_WAITING = 50_000
"""Events of one trace that wait for its end in memory, since attributes of the trace may stand behind them; more wait on disk."""
MOST_NAMES = 2_000_000
"""Names of traces that are remembered with their number of events, about 100 bytes each."""
_CHUNK = 1 << 18
_DECLARATION = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_TYPES = frozenset(("string", "date", "int", "float", "boolean", "id", "list", "container"))
_KEYS = re.compile(r"'([^']*)'|(\S+)")
_LONGEST = 1 << 25
_MOST_NESTED = 50
_TIME = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})T([0-9]{2}):?([0-9]{2})(?::?([0-9]{2}))?(?:[.,]([0-9]+))?(.*)", re.DOTALL)
_REFERENCE = expat.errors.codes[expat.errors.XML_ERROR_BAD_CHAR_REF]
_TOKEN = expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]


class _NoLogError(Exception):
    """What is wrong with the log as a whole, for people."""


class _Attributes(dict[str, str | None]):
    """Attributes by their path; ``twice`` are the paths that stand there twice, with different values."""

    __slots__ = ("twice",)

    def __init__(self) -> None:
        super().__init__()
        self.twice: set[str] = set()

    def put(self, path: str, value: str | None) -> None:
        """Add an attribute."""
        if self.setdefault(path, value) != value:
            self.twice.add(path)


_Found = tuple[_Attributes, int, _Attributes | None]


class Xes(Records):
    """An event log: a row an event or a row a trace."""

    name = "xes"
    suffixes = (".xes", ".xes.gz")
    varies = True

    def records(self) -> Iterator[Record]:
        """Events (``number`` counts them through the log) or traces, as the source asks for."""
        log = _Log(self.source.defaults, self.reading.scratch)
        columns = {spec.column for other in self.reading.source_file.sources if other.reads_same(self.source) for spec in other.fields.values()}
        number = 0
        try:
            for trace, sequence, event in log.read(self._chunks()):
                if (event is None) != (self.source.rows == "trace"):
                    continue
                number += 1
                if number == 1:
                    self._declare(log)
                values: dict[str, str | None] = {CASE + key: value for key, value in trace.items()}
                twice = {CASE + key for key in trace.twice}
                if event is not None:
                    twice |= event.twice | {key for key in values.keys() & event.keys() if values[key] != event[key]}
                    values |= event
                    values[SEQUENCE] = str(sequence)
                    for name, keys in log.classifiers.items():
                        if CLASSIFIER + name in columns:
                            values[CLASSIFIER + name] = "+".join(event.get(key) or "" for key in keys)
                twice &= used_columns(self.source, dict.fromkeys(values, "")) if twice else set()
                yield Record(number, values, f"第 {number} 条的属性 {'、'.join(sorted(twice))} 出现两次且值不同" if twice else None)
        except _NoLogError as error:
            raise self.unreadable(str(error)) from None
        except expat.ExpatError as error:
            if error.code == _REFERENCE:
                raise self.unreadable(f"第 {error.lineno} 行写了 XML 不允许的字符（如 &#x1;）") from error
            if error.code == _TOKEN:
                raise self.unreadable(f"第 {error.lineno} 行有 XML 不允许的字符；如果其实不是它所写的编码（没有写就是 UTF-8），请在 encoding 中写明") from error
            raise self.unreadable(f"第 {error.lineno} 行起不是完整的 XES，可能没有传完") from error
        except UnicodeError as error:
            raise self.unreadable("内容不是它所写的编码") from error

    def _declare(self, log: "_Log") -> None:
        """What the log says each trace or event has is a column even where none has it."""
        for key in log.globals["trace"]:
            self.declare(CASE + key)
        for key in log.globals["event"] if self.source.rows == "event" else ():
            self.declare(key)

    def _chunks(self) -> Iterator[bytes | str]:
        """The log as expat takes it: as it is in the encodings that expat knows, else decoded."""
        with opened(self.file.path) as file:
            head = file.read(_CHUNK)
            declared = _DECLARATION.match(head.removeprefix(codecs.BOM_UTF8))
            encoding = self.source.encoding or (declared[1].decode() if declared else "utf-8")
            try:
                codec = codecs.lookup(encoding).name
            except LookupError:
                raise _NoLogError(f"没有“{encoding}”这种编码") from None
            decoder = None if codec.startswith(("utf-8", "utf-16", "ascii", "iso8859-1")) else codecs.getincrementaldecoder(codec)()
            while head:
                yield head if decoder is None else decoder.decode(head)
                head = file.read(_CHUNK)


class _Log:
    """What expat meets, made into traces and events.

    Attributes:
        globals: ``trace`` and ``event`` → the attributes that each of them has, with their defaults.
        classifiers: Name → the keys of its attributes.
    """

    def __init__(self, defaults: bool, scratch: Path) -> None:
        self.globals: dict[str, _Attributes] = {"trace": _Attributes(), "event": _Attributes()}
        self.classifiers: dict[str, list[str]] = {}
        self._defaults, self._scratch = defaults, scratch
        self._ready: deque[Iterable[_Found]] = deque()
        self._trace: _Attributes | None = None
        self._waiting: list[_Attributes] = []
        self._stored: IO[bytes] | None = None
        self._files: list[IO[bytes]] = []
        self._outside = 0
        self._numbered: dict[bytes, int] = {}
        # Where attributes go, and what stands before their keys; the stack holds both of the elements around.
        self._holder: _Attributes | list[_Attributes] | None = None
        self._prefix = ""
        self._lists: list[Callable[[str], None]] = []
        self._stack: list[tuple[str, _Attributes | list[_Attributes] | None, str]] = []

    def read(self, chunks: Iterator[bytes | str]) -> Iterator[_Found]:
        """Trace, place in it and event, for each event; trace, 0 and None at the end of each trace."""
        parser = expat.ParserCreate()
        parser.buffer_text = False
        parser.StartDoctypeDeclHandler = _refuse
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        fed = 0
        try:
            for chunk in chunks:
                parser.Parse(chunk, False)
                fed += len(chunk)
                if fed - parser.CurrentByteIndex > _LONGEST:
                    raise _NoLogError(f"有一处超过 {_LONGEST >> 20} MB")
                while self._ready:
                    yield from self._ready.popleft()
            parser.Parse(b"", True)
            yield from chain.from_iterable(self._ready)
        finally:  # of a log that was not read to its end
            for stored in self._files:
                stored.close()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        element = name[name.rfind(":") + 1 :]
        if not self._stack and element != "log":
            raise _NoLogError("不是 XES 事件日志")
        if len(self._stack) > _MOST_NESTED:
            raise _NoLogError(f"属性嵌套超过 {_MOST_NESTED} 层")
        self._stack.append((element, self._holder, self._prefix))
        if element in _TYPES:
            self._attribute(element, attributes.get("key", ""), attributes.get("value"))
        elif element == "event":
            self._holder, self._prefix = _Attributes(), ""
        elif element == "trace":
            self._trace = _Attributes()
            self._holder, self._prefix = self._trace, ""
        elif element == "global":
            self._holder, self._prefix = self.globals.get(attributes.get("scope", "event")), ""
        elif element == "classifier" and attributes.get("scope", "event") == "event":
            keys = [quoted or plain for quoted, plain in _KEYS.findall(attributes.get("keys", ""))]
            self.classifiers[attributes.get("name", "")] = keys

    def _attribute(self, element: str, key: str, value: str | None) -> None:
        if isinstance(self._holder, list):  # an item of a list is a mapping of its own
            item = _Attributes()
            self._holder.append(item)
            self._holder, self._prefix = item, ""
        if self._holder is None:  # of the log itself
            return
        path = self._prefix + key
        self._prefix = path + "."
        if element == "list":
            self._lists.append(partial(self._holder.put, path))
            self._holder = []
        elif element != "container":
            self._holder.put(path, _extended(value) if element == "date" and value else value)

    def _end(self, name: str) -> None:
        inner = self._holder
        element, self._holder, self._prefix = self._stack.pop()
        if element == "list" and isinstance(inner, list):
            self._lists.pop()(json.dumps(inner, ensure_ascii=False))
        elif element == "event" and isinstance(inner, _Attributes):
            self._fill(inner, "event")
            if self._trace is None:
                self._outside += 1
                self._ready.append([(_Attributes(), self._outside, inner)])
            else:
                self._waiting.append(inner)
                if len(self._waiting) >= MOST_WAITING:
                    self._store()
        elif element == "trace" and self._trace is not None:
            self._fill(self._trace, "trace")
            self._ready.append(self._whole(self._trace))
            self._trace, self._waiting, self._stored = None, [], None

    def _store(self) -> None:
        """Let the events at hand wait on disk, in a file that is gone when it is closed or the process is."""
        if self._stored is None:
            self._stored = TemporaryFile(dir=self._scratch)
            self._files = [*(stored for stored in self._files if not stored.closed), self._stored]
        self._stored.writelines(json.dumps([event, sorted(event.twice)]).encode() + b"\n" for event in self._waiting)
        self._waiting = []

    def _whole(self, trace: _Attributes) -> Iterator[_Found]:
        """The events of a trace that is complete; numbers go on where an earlier trace has the same name."""
        waiting, stored = self._waiting, self._stored

        def found() -> Iterator[_Found]:
            name = trace.get("concept:name")
            key = None if name is None else blake2b(name.encode(), digest_size=8).digest()
            place = 0 if key is None else self._numbered.get(key, 0)
            for event in chain(_read_back(stored), waiting):
                place += 1
                yield trace, place, event
            if key is not None:
                if key not in self._numbered and len(self._numbered) >= MOST_NAMES:
                    raise _NoLogError(f"轨迹超过 {MOST_NAMES // 10_000} 万条，请分成几个文件")
                self._numbered[key] = place
            yield trace, 0, None

        return found()

    def _fill(self, attributes: _Attributes, scope: str) -> None:
        if self._defaults:
            for key, value in self.globals[scope].items():
                attributes.setdefault(key, value)


def _read_back(stored: IO[bytes] | None) -> Iterator[_Attributes]:
    if stored is None:
        return
    with stored:
        stored.seek(0)
        for line in stored:
            event = _Attributes()
            values, twice = json.loads(line)
            event.update(values)
            event.twice.update(twice)
            yield event


def _extended(time: str) -> str:
    """ISO 8601 in its basic form, or with a decimal comma, in the form that all read; other text as it is."""
    if ("," not in time and time[4:5] == "-") or not (found := _TIME.fullmatch(time)):
        return time
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    if len(zone) == 5:  # +0800
        zone = f"{zone[:3]}:{zone[3:]}"
    return f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}{'.' + fraction if fraction else ''}{zone}"


def _refuse(*_: Any) -> None:
    raise _NoLogError("带有文档类型声明（DTD），出于安全不予读取")
