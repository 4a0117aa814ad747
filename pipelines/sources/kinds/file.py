"""Files: folders and globs of Parquet, CSV, XLSX, JSON Lines and XES files, each read again when it has changed."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field, field_validator

from pipelines.sources.config import Source
from pipelines.sources.files import DataFile, changed_files, gone_files, list_files, unreadable, with_unchanged
from pipelines.sources.formats import Format
from pipelines.sources.mapping import filled
from pipelines.sources.reading import Load, Reading


class FileSource(Source):
    """Files of one form that hold records of one subject (or rows from which several subjects are taken)."""

    kind: Literal["file"] = Field("file", description="Files.")
    location: str = Field(description="Path or glob of the files, relative to the folder of sources.yml; `**` is any depth; ${NAME} is an environment variable.")
    format: str | None = Field(None, description="Format of the files; default: by suffix.")
    encoding: str | None = Field(None, description="Encoding of CSV files; default: UTF-8 (or UTF-16 with its mark), else GB18030.")
    delimiter: str | None = Field(None, min_length=1, max_length=1, description="Delimiter of CSV files; default: found in the header.")
    sheet: str | None = Field(None, min_length=1, description="Sheet of XLSX files, by name or by number from 1; default: the first that is not hidden.")
    header_row: int | None = Field(None, ge=1, description="Row of XLSX files in which the names of the columns stand; default: found.")
    records: str | None = Field(None, min_length=1, description="Path of the array of records in a JSON document, `data.items`; default: the document is the array, or each line is a record.")
    rows: Literal["event", "trace"] = Field("event", description="What a row of XES files is: an event, with its trace's attributes as `case:<name>`, or a trace.")
    defaults: bool = Field(False, description="Whether attributes that an event or trace of XES files lacks take the default that the log gives for them.")

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str | None) -> str | None:
        from pipelines.sources.registry import formats

        if value is not None and value not in formats():
            raise ValueError(f"取值不在允许的范围内，可用：{'、'.join(sorted(formats()))}")
        return value

    def reads_same(self, other: Source) -> bool:
        """Files of one place; of workbooks the same sheet, of documents the same array."""
        return isinstance(other, FileSource) and (self.location, self.sheet, self.records) == (other.location, other.sheet, other.records)

    def loads(self, reading: Reading) -> Iterator[Load]:
        """All files that are new or have changed, in one load.

        With ``vanished: delete`` the files together are the whole truth: as soon as one has changed or is gone, all are
        read, since a record that left one file may stand in another.
        """
        for left in chain(reading.scratch.glob("*.rows"), reading.scratch.glob("*.utf8")):  # by a kill
            left.unlink()
        listed = list_files(reading.source_file, self, reading.may_read)
        files = changed_files(reading, self, listed)
        gone = gone_files(reading, self, listed) if self.vanished == "delete" else []
        if not files and not gone:
            return
        if self.vanished == "delete":
            files = with_unchanged(reading, self, listed, files)
        readers = [self._format(reading, file) for file in files]
        told = [reader for reader in readers if reader.columns or reader.expected_rows() != 0]  # a file of records may have none, and no column then
        known = dict(reading.known)
        for reader in told:
            known |= filled(self, reader.columns) if not reader.varies else {}
        for reader in told:
            reading.check(reader.columns, reader.file.shown, None if reader.varies else known)
        available = {column: kind for reader in told for column, kind in reader.columns.items()}
        missing = reading.missing(available) if told else []
        unmapped = sorted({column for reader in readers for column in reading.unmapped(reader.columns)})
        expected = [reader.expected_rows() for reader in readers]

        def rows() -> Iterator[pa.RecordBatch]:
            groups: dict[Any, list[Format]] = {}
            for reader in readers:
                groups.setdefault(reader.alike(), []).append(reader)
            for group in groups.values():
                yield from type(group[0]).rows_of(group)

        total = None if None in expected else sum(number or 0 for number in expected)
        yield Load(parts=[*files, *gone], rows=rows, unmapped=unmapped, filled=reading.filled(available) if told else None, missing=missing, expected_rows=total)

    def _format(self, reading: Reading, file: DataFile) -> Format:
        from pipelines.sources.registry import formats

        known = formats()
        name = file.path.name.lower()
        found = known.get(self.format or "") or next((form for form in known.values() if name.endswith(form.suffixes)), None)
        if found is None:
            raise unreadable(file, f"看不出格式，请在 format 中写明 {'、'.join(sorted(known))} 之一")
        if file.size == 0:
            raise unreadable(file, "文件是空的")
        try:
            return found(reading, self, file)
        except (FileNotFoundError, PermissionError) as error:
            raise unreadable(file, "没有读取的权限" if isinstance(error, PermissionError) else "列出之后被移走了") from error
