"""The files of a source: which there are, which have changed since they were read, what columns they have.

A file is known by its path. It is read again when its content or the way it is read has changed: its
fingerprint joins a digest of the source's settings and a digest of the content. Size and time of change
spare the reading of the content, never the other way round.
"""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path

from models.domain.errors import YiwangError
from pipelines.sources.config import Source, SourceFile
from pipelines.sources.reading import Part, Reading
from pipelines.sources.store import literal

_GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class DataFile(Part):
    """One file, as it stood when it was listed.

    Attributes:
        path: Where it is.
    """

    path: Path


def list_files(source_file: SourceFile, source: Source, may_read: Callable[[Path], bool] | None = None) -> list[DataFile]:
    """The files of the source in the order of their names.

    Args:
        source_file: Its folder is what locations are relative to.
        source: The source.
        may_read: As :attr:`Reading.may_read`.

    Raises:
        YiwangError: YW-SYNC-002 where there is none, YW-SYNC-004 where a name cannot be written down or a file may not be read.
    """
    found = []
    for path in sorted(_paths(source_file, source)):
        try:
            stat = path.stat()
        except OSError:  # it vanished meanwhile, or its folder did
            continue
        inside = path.is_relative_to(source_file.folder)
        shown = (path.relative_to(source_file.folder) if inside else path).as_posix()
        if may_read is not None:
            path = path.resolve()  # what is asked about is what is opened: a link that is put in its place later leads nowhere
            if not may_read(path):
                raise unreadable(DataFile(path=path, shown=shown), "指向允许的目录之外")
        file = DataFile(path=path, shown=shown, size=stat.st_size, mtime_ns=stat.st_mtime_ns)
        try:
            shown.encode()
        except UnicodeEncodeError:
            legible = replace(file, shown=shown.encode(errors="surrogateescape").decode("gb18030", "replace"))
            raise unreadable(legible, "文件名不是 UTF-8 编码") from None
        found.append(file)
    if not found:
        raise YiwangError("YW-SYNC-002", source=source.name, location=source.location)
    return found


def _paths(source_file: SourceFile, source: Source) -> Iterator[Path]:
    """Files that ``location`` means: by a pattern, or all of known formats beneath a folder.

    Hidden files and what Office leaves beside an open one (``~$…``) are meant only where the pattern names them so.
    """
    location = Path(source.location).expanduser() if source.location.startswith("~/") else Path(source.location)
    base = Path(location.anchor) if location.is_absolute() else source_file.folder
    pattern = str(location.relative_to(base)) if location.is_absolute() else str(location)
    suffixes: tuple[str, ...] = ("",)
    if (base / location).is_dir():
        from pipelines.sources.registry import formats

        known = formats()
        wanted = known.get(getattr(source, "format", None) or "")
        suffixes = tuple(suffix for form in ([wanted] if wanted else known.values()) for suffix in form.suffixes)
        base, pattern = base / location, "**/*"
    elif re.search(r"[*?\[]", Path(pattern).name):  # a suffix may be written in capitals
        pattern = re.sub(r"\.[A-Za-z]+(?=$|\.[A-Za-z]+$)", lambda suffix: _in_any_case(suffix[0]), pattern)
    asked_for = re.search(r"(^|/)[.~][^./]", pattern) is not None
    for path in base.glob(pattern):
        is_hidden = any(part.startswith((".", "~$")) and part != ".." for part in path.relative_to(base).parts)
        if path.name.lower().endswith(suffixes) and path.is_file() and (asked_for or not is_hidden):
            yield path


def _in_any_case(text: str) -> str:
    return "".join(f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else letter for letter in text)


def changed_files(reading: Reading, source: Source, files: Sequence[DataFile]) -> list[DataFile]:
    """Those of the files that are new or differ from what was read, each with fingerprint and number.

    A file that was only touched is noted with its new time of change and left out.
    """
    known = {row[0]: row[1:] for row in _noted(reading, source)}
    changed = []
    for file in files:
        file_id, size, mtime_ns, fingerprint = known.get(file.shown, (0, -1, -1, ""))
        if (size, mtime_ns) == (file.size, file.mtime_ns) and fingerprint.startswith(reading.digest):
            continue
        current = f"{reading.digest}-{_content_digest(file)}"
        if current == fingerprint:
            reading.connection.execute("UPDATE ops.source_file SET mtime_ns = ? WHERE file_id = ?", [file.mtime_ns, file_id])
            continue
        changed.append(replace(file, fingerprint=current, file_id=file_id or reading.new_number()))
    return changed


def gone_files(reading: Reading, source: Source, files: Sequence[DataFile]) -> list[Part]:
    """Files that were read and are no longer there, each as it stands from now on: with nothing in it."""
    there = {file.shown for file in files}
    return [
        Part(file_id=file_id, shown=shown, fingerprint=_GONE)
        for shown, file_id, _, _, fingerprint in _noted(reading, source)
        if shown not in there and fingerprint != _GONE
    ]


def _noted(reading: Reading, source: Source) -> list[tuple[str, int, int, int, str]]:
    return reading.connection.execute(
        "SELECT path, file_id, size, mtime_ns, fingerprint FROM ops.source_file WHERE source = ? AND subject = ? ORDER BY path",
        [source.name, source.subject],
    ).fetchall()


def with_unchanged(reading: Reading, source: Source, files: Sequence[DataFile], changed: Sequence[DataFile]) -> list[DataFile]:
    """All files: those that have changed, and the others with the number and fingerprint that they have."""
    known = {row[0]: row for row in _noted(reading, source)}
    anew = {file.shown: file for file in changed}
    return [anew.get(file.shown) or replace(file, file_id=known[file.shown][1], fingerprint=known[file.shown][4]) for file in files]


def _content_digest(file: DataFile) -> str:
    try:
        with file.path.open("rb") as content:
            return hashlib.file_digest(content, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except PermissionError as error:
        raise unreadable(file, "没有读取的权限") from error
    except FileNotFoundError as error:
        raise unreadable(file, "列出之后被移走了") from error


def unreadable(file: DataFile, detail: str) -> YiwangError:
    """YW-SYNC-004 for the file."""
    return YiwangError("YW-SYNC-004", path=file.shown, detail=detail)


def path_literal(path: Path) -> str:
    """A path for DuckDB's readers, which would take ``*``, ``?`` and ``[`` in a name for patterns."""
    return literal(escape(str(path)))
