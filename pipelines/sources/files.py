"""The files of a source: which there are, which have changed since they were read, what columns they have.

A file is known by its path. It is read again when its content or the way it is read has changed: its
fingerprint joins a digest of the source's settings and a digest of the content. Size and time of change
spare the reading of the content, never the other way round.
"""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

import codecs
import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from glob import escape
from itertools import islice
from pathlib import Path

import duckdb

from models.domain.errors import YiwangError
from pipelines.sources.config import Source, SourceFile
from pipelines.sources.store import literal

READER_VERSION = 2
"""Part of every fingerprint: raise it when the same file and settings would give other rows than before."""

_SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".txt": "csv", ".tsv": "csv"}
_CHUNK = 1 << 22


@dataclass(frozen=True)
class DataFile:
    """One file, as it stood when it was listed.

    Attributes:
        path: Where it is.
        shown: Its path relative to the folder of sources.yml, as people and the warehouse know it.
        size: Bytes.
        mtime_ns: Time of last change in nanoseconds.
        fingerprint: Settings and content.
        file_id: Its number in ``ops.source_file``.
    """

    path: Path
    shown: str
    size: int
    mtime_ns: int
    fingerprint: str = ""
    file_id: int = 0


@dataclass(frozen=True)
class CsvForm:
    """How a CSV file is written: what its encoding, delimiter and header are."""

    encoding: str
    delimiter: str
    header: tuple[str, ...]


def settings_digest(source: Source) -> str:
    """Digest of all that decides how the source's files are read, its location apart."""
    settings = source.model_dump(exclude={"location", "look_back"}) | {"reader": READER_VERSION}
    return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8).hexdigest()


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
            found.append(DataFile(path, shown.as_posix(), stat.st_size, stat.st_mtime_ns))
    if not found:
        raise YiwangError("YW-SYNC-002", source=source.name, location=source.location)
    return found


def changed_files(connection: duckdb.DuckDBPyConnection, source: Source, files: Sequence[DataFile]) -> list[DataFile]:
    """Those of the files that are new or differ from what was read, each with fingerprint and number.

    A file that was only touched is noted with its new time of change and left out.
    """
    known = {
        row[0]: row[1:]
        for row in connection.execute(
            "SELECT path, file_id, size, mtime_ns, fingerprint FROM ops.source_file WHERE source = ? AND subject = ?",
            [source.name, source.subject],
        ).fetchall()
    }
    settings = settings_digest(source)
    changed = []
    for file in files:
        file_id, size, mtime_ns, fingerprint = known.get(file.shown, (0, -1, -1, ""))
        if (size, mtime_ns) == (file.size, file.mtime_ns) and fingerprint.startswith(settings):
            continue
        current = f"{settings}-{_content_digest(file.path)}"
        if current == fingerprint:
            connection.execute("UPDATE ops.source_file SET mtime_ns = ? WHERE file_id = ?", [file.mtime_ns, file_id])
            continue
        if not file_id:
            ((file_id,),) = connection.execute("SELECT nextval('ops.file_number')").fetchall()
        changed.append(replace(file, fingerprint=current, file_id=file_id))
    return changed


def _content_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def format_of(source: Source, file: DataFile) -> str:
    """``parquet`` or ``csv``.

    Raises:
        YiwangError: YW-SYNC-004 where neither the source nor the suffix says.
    """
    if (form := source.format or _SUFFIXES.get(file.path.suffix.lower())) is None:
        raise unreadable(file, "看不出格式，请在 format 中写明 parquet 或 csv")
    if file.size == 0:
        raise unreadable(file, "文件是空的")
    return form


def unreadable(file: DataFile, detail: str) -> YiwangError:
    """YW-SYNC-004 for the file."""
    return YiwangError("YW-SYNC-004", path=file.shown, detail=detail)


def path_literal(path: Path) -> str:
    """A path for DuckDB's readers, which would take ``*``, ``?`` and ``[`` in a name for patterns."""
    return literal(escape(str(path)))


def parquet_columns(connection: duckdb.DuckDBPyConnection, file: DataFile) -> dict[str, str]:
    """Column → DuckDB type of a Parquet file.

    Raises:
        YiwangError: YW-SYNC-004 where it is not a whole Parquet file.
    """
    try:
        rows = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({path_literal(file.path)})").fetchall()
    except duckdb.Error as error:
        raise unreadable(file, "不是完整的 Parquet 文件，可能没有传完") from error
    return {row[0]: row[1] for row in rows}


def csv_form(source: Source, file: DataFile) -> CsvForm:
    """Encoding, delimiter and header of a CSV file.

    Raises:
        YiwangError: YW-SYNC-004 where the encoding is unknown, a column has no name or two have the same.
    """
    encoding = _encoding(source, file)
    with file.path.open(encoding=encoding, newline="", errors="replace") as text:
        first = next((line for line in text if line.strip()), "")
        delimiter = source.delimiter or max(",\t;|", key=first.count)
        text.seek(0)
        header = [cell.strip() for cell in next((row for row in csv.reader(text, delimiter=delimiter) if row), [])]
    if not header:
        raise unreadable(file, "没有表头")
    if blank := [str(i) for i, cell in enumerate(header, 1) if not cell]:
        raise unreadable(file, f"第 {'、'.join(blank)} 列没有列名")
    lower = [cell.lower() for cell in header]
    if twice := sorted({cell for cell in header if lower.count(cell.lower()) > 1}):
        raise unreadable(file, f"列名重复：{'、'.join(twice)}")
    return CsvForm(encoding, delimiter, tuple(header))


def _encoding(source: Source, file: DataFile) -> str:
    if source.encoding is not None:
        try:
            codec = codecs.lookup(source.encoding).name
        except LookupError:
            raise unreadable(file, f"没有“{source.encoding}”这种编码") from None
        if codec != "utf-8" and not _decodes(file.path, codec):
            raise unreadable(file, f"内容不是 {source.encoding} 编码")
        return "utf-8-sig" if codec == "utf-8" else codec
    with file.path.open("rb") as head:
        if head.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
    if _decodes(file.path, "utf-8"):
        return "utf-8-sig"
    if _mostly_utf8(file.path):  # single broken lines: they are set aside, the file is read
        return "utf-8-sig"
    if _decodes(file.path, "gb18030"):
        return "gb18030"
    raise unreadable(file, "编码既不是 UTF-8 也不是 GB18030，请在 encoding 中写明")


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in _chunks(path):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


def _mostly_utf8(path: Path) -> bool:
    """Whether at least 19 of 20 characters beyond ASCII in the file's first megabytes are whole UTF-8."""
    sample = b"".join(islice(_chunks(path), 2))
    text = sample.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    return sum(character > "\x7f" for character in text) >= 20 * broken


def as_utf8(file: DataFile, encoding: str, folder: Path) -> Path:
    """The file itself where it is UTF-8, else a copy of it in UTF-8 in ``folder`` (the caller removes it)."""
    if encoding == "utf-8-sig":
        return file.path
    target = folder / f"{file.file_id}.utf8.csv"
    with file.path.open(encoding=encoding, newline="") as text, target.open("w", encoding="utf-8", newline="") as copy:
        while chunk := text.read(_CHUNK):
            copy.write(chunk)
    return target
