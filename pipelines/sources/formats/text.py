"""Text files, gzipped or not: how they are encoded, and their content in UTF-8."""

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from pipelines.sources.files import DataFile, unreadable

if TYPE_CHECKING:
    from pipelines.sources.kinds.file import FileSource

CHUNK = 1 << 22
GZ = ".gz"
_END = re.compile(rb"(\r\n|\r|\n)")
_FIRST = re.compile(b'(?:\xef\xbb\xbf)? ?"')
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
        if codec != "utf-8" and _first_bad(file.path, codec) is not None:
            raise unreadable(file, f"内容不是 {source.encoding} 编码")
        return "utf-8-sig" if codec == "utf-8" else codec
    with opened(file.path) as head:
        if head.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
    bad = _first_bad(file.path, "utf-8")
    if bad is None:
        return "utf-8-sig"
    sample = _around(file.path, bad)
    if _mostly_utf8(sample):  # single broken lines: they are set aside, the file is read
        return "utf-8-sig"
    if _first_bad(file.path, "gb18030") is None:
        return "gb18030"
    if _few_lines_broken(sample):
        return "utf-8-sig"
    raise unreadable(file, "编码既不是 UTF-8 也不是 GB18030，请在 encoding 中写明")


def _chunks(path: Path) -> Iterator[bytes]:
    with opened(path) as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _first_bad(path: Path, encoding: str) -> int | None:
    """Number of the chunk in which the first bytes stand that are not in the encoding; None where there are none."""
    decoder = codecs.getincrementaldecoder(encoding)()
    number = 0
    try:
        for chunk in _chunks(path):
            decoder.decode(chunk)
            number += 1
        number -= 1  # of the last one
        decoder.decode(b"", final=True)
    except UnicodeError:
        return number
    return None


def _around(path: Path, number: int) -> bytes:
    """Whole lines of the chunk of that number and of those beside it."""
    first = max(number - 1, 0)
    sample = b"".join(islice(_chunks(path), first, number + 2))
    return sample[sample.find(b"\n") + 1 if first else 0 :]


def _mostly_utf8(sample: bytes) -> bool:
    """Whether what is beyond ASCII is UTF-8 that has broken places, and not another encoding.

    At least 19 of 20 characters are whole, or three characters of three bytes (Chinese ones) stand against each broken
    place: text in GB18030 hardly ever looks like those.
    """
    codes = np.frombuffer(sample.decode("utf-8", errors="replace").encode("utf-32-le"), np.uint32)
    broken = np.count_nonzero(codes == ord("\ufffd"))
    return bool(np.count_nonzero(codes > ord("\x7f")) >= 20 * broken or np.count_nonzero(codes >= ord("\u0800")) - broken >= 3 * broken)


def _few_lines_broken(sample: bytes) -> bool:
    """Whether at most one line in 20, or one beside two others, is not UTF-8."""
    lines = sample.decode("utf-8", errors="replace").splitlines()
    broken = sum("\ufffd" in line for line in lines)
    return broken <= max(1, len(lines) // 20) and broken * 3 <= len(lines)


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


def has_mixed_ends(path: Path) -> bool:
    """Whether lines of the file end in different ways, be it within quotes."""
    returns = feeds = both = 0
    last = b""
    for chunk in _chunks(path):
        if found := chunk.count(b"\r"):
            returns += found
            both += chunk.count(b"\r\n")
        feeds += chunk.count(b"\n")
        both += last == b"\r" and chunk[:1] == b"\n"
        last = chunk[-1:]
    return returns > 0 and (feeds > 0) and not returns == feeds == both


def with_one_end(path: Path, target: Path, delimiter: str) -> None:
    """Copy UTF-8 text so that all lines end in ``\n``; what stands within quotes stays as it is.

    A quote opens at the beginning of a field only, as DuckDB has it: ``5" pipe`` is text.
    """
    opening = re.compile(re.escape(delimiter.encode()) + b' ?"')
    is_open = False
    rest = b""
    with target.open("wb") as copy:
        for chunk in chain(_chunks(path), [None]):
            text = rest + (chunk or b"")
            # The last line may go on, and a return at the very end may be half an end of line.
            cut = len(text) if chunk is None else max(text.rfind(b"\n"), text.rfind(b"\r", 0, -1)) + 1
            rest = text[cut:]
            pieces = _END.split(text[:cut])
            lines = []
            for line, end in zip(pieces[::2], [*pieces[1::2], b""], strict=True):
                is_open = _is_open_after(line, is_open, opening)
                lines.append(line + (b"\n" if end and not is_open else end))
            copy.write(b"".join(lines))


def _is_open_after(line: bytes, is_open: bool, opening: re.Pattern[bytes]) -> bool:
    """Whether a quote is open behind the line, given whether one is before it."""
    if b'"' not in line:
        return is_open
    at = 0
    if not is_open and (first := _FIRST.match(line)):
        is_open, at = True, first.end()
    while True:
        if is_open:
            at = line.find(b'"', at) + 1
            if not at:
                return True
            is_open = line[at : at + 1] == b'"'  # a doubled one is text
            at += is_open
        elif found := opening.search(line, at):
            is_open, at = True, found.end()
        else:
            return False
