"""Text files, gzipped or not: how they are encoded, and their content in UTF-8."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from pipelines.sources.files import DataFile, unreadable

if TYPE_CHECKING:
    from pipelines.sources.kinds.file import FileSource

CHUNK = 1 << 22
GZ = ".gz"
BROKEN_GZ = (EOFError, zlib.error, gzip.BadGzipFile)
"""What reading a gzipped file raises where it is not whole."""


def opened(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked where its name ends in ``.gz``."""
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix.lower() == GZ else path.open("rb")


def encoding_of(source: "FileSource", file: DataFile) -> str:
    """Python's name of the file's encoding; ``utf-8-sig`` for UTF-8 with or without mark.

    Raises:
        YiwangError: YW-SYNC-004 where it is unknown, or the content is not in it.
    """
    try:
        return _encoding(source, file)
    except BROKEN_GZ as error:
        raise unreadable(file, "压缩内容不完整，可能没有传完") from error


def _encoding(source: "FileSource", file: DataFile) -> str:
    if source.encoding is not None:
        try:
            codec = codecs.lookup(source.encoding).name
        except LookupError:
            raise unreadable(file, f"没有“{source.encoding}”这种编码") from None
        if codec != "utf-8" and not _decodes(file.path, codec):
            raise unreadable(file, f"内容不是 {source.encoding} 编码")
        return "utf-8-sig" if codec == "utf-8" else codec
    with opened(file.path) as head:
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
    with opened(path) as file:
        while chunk := file.read(CHUNK):
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
    """The file itself where it is plain UTF-8, else a copy of it in UTF-8 in ``folder`` (the caller removes it)."""
    packed = file.path.suffix.lower() == GZ
    if encoding == "utf-8-sig" and not packed:
        return file.path
    target = folder / f"{file.file_id}.utf8"
    decoder = codecs.getincrementaldecoder(encoding)()
    with target.open("wb") as copy:
        for chunk in _chunks(file.path):
            # Bytes of UTF-8 stay as they are: a broken line is found where the copy is read.
            copy.write(chunk if encoding == "utf-8-sig" else decoder.decode(chunk).encode())
    return target


def has_longer_line(path: Path, size: int) -> bool:
    """Whether the file has more than ``size`` bytes without an end of line between them."""
    if path.stat().st_size <= size:
        return False
    run = 0
    for chunk in _chunks(path):
        ends = [at for end in (b"\n", b"\r") if (at := chunk.find(end)) >= 0]
        if run + (min(ends) if ends else len(chunk)) > size:
            return True
        run = len(chunk) - 1 - max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) if ends else run + len(chunk)
    return False
