"""The files of a source: which there are, which have changed since they were read, what columns they have.

A file is known by its path. It is read again when its content or the way it is read has changed: its
fingerprint joins a digest of the source's settings and a digest of the content. Size and time of change
spare the reading of the content, never the other way round.
"""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

import hashlib
from collections.abc import Sequence
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


def list_files(source_file: SourceFile, source: Source) -> list[DataFile]:
    """The files of the source in the order of their names.

    Raises:
        YiwangError: YW-SYNC-002 where there is none.
    """
    location = Path(source.location).expanduser()
    base = Path(location.anchor) if location.is_absolute() else source_file.folder
    pattern = str(location.relative_to(base)) if location.is_absolute() else str(location)
    found = []
    for path in sorted(base.glob(pattern)):
        if path.is_file():
            stat = path.stat()
            inside = path.is_relative_to(source_file.folder)
            shown = path.relative_to(source_file.folder) if inside else path
            found.append(DataFile(path=path, shown=shown.as_posix(), size=stat.st_size, mtime_ns=stat.st_mtime_ns))
    if not found:
        raise YiwangError("YW-SYNC-002", source=source.name, location=source.location)
    return found


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
        current = f"{reading.digest}-{_content_digest(file.path)}"
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


def _content_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def unreadable(file: DataFile, detail: str) -> YiwangError:
    """YW-SYNC-004 for the file."""
    return YiwangError("YW-SYNC-004", path=file.shown, detail=detail)


def path_literal(path: Path) -> str:
    """A path for DuckDB's readers, which would take ``*``, ``?`` and ``[`` in a name for patterns."""
    return literal(escape(str(path)))
