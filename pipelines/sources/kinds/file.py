"""Files: folders and globs of Parquet, CSV, XLSX, JSON Lines and XES files, each read again when it has changed."""

from collections.abc import Iterator
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field, field_validator

from pipelines.sources.config import Source
from pipelines.sources.files import DataFile, changed_files, gone_files, list_files, unreadable
from pipelines.sources.formats import Format
from pipelines.sources.reading import Load, Reading


class FileSource(Source):
    """Files of one form that hold records of one subject (or rows from which several subjects are taken)."""

    kind: Literal["file"] = Field("file", description="Files.")
    location: str = Field(description="Path or glob of the files, relative to the folder of sources.yml; `**` is any depth; ${NAME} is an environment variable.")
    format: str | None = Field(None, description="Format of the files; default: by suffix.")
    encoding: str | None = Field(None, description="Encoding of CSV files; default: UTF-8 (or UTF-16 with its mark), else GB18030.")
    delimiter: str | None = Field(None, min_length=1, max_length=1, description="Delimiter of CSV files; default: found in the header.")

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str | None) -> str | None:
        from pipelines.sources.registry import formats

        if value is not None and value not in formats():
            raise ValueError(f"取值不在允许的范围内，可用：{'、'.join(sorted(formats()))}")
        return value

    def loads(self, reading: Reading) -> Iterator[Load]:
        """All files that are new or have changed, in one load; files that are gone, where that deletes records."""
        listed = list_files(reading.source_file, self)
        files = changed_files(reading, self, listed)
        gone = gone_files(reading, self, listed) if self.vanished == "delete" else []
        if not files and not gone:
            return
        readers = [self._format(file.path.suffix.lower(), reading, file) for file in files]
        for reader in readers:
            reading.check(reader.columns, reader.file.shown)
        unmapped = sorted({column for reader in readers for column in reading.unmapped(reader.columns)})
        expected = [reader.expected_rows() for reader in readers]

        def rows() -> Iterator[pa.RecordBatch]:
            groups: dict[Any, list[Format]] = {}
            for reader in readers:
                groups.setdefault(reader.alike(), []).append(reader)
            for group in groups.values():
                yield from type(group[0]).rows_of(group)

        total = None if None in expected else sum(number or 0 for number in expected)
        yield Load(parts=[*files, *gone], rows=rows, unmapped=unmapped, expected_rows=total)

    def _format(self, suffix: str, reading: Reading, file: DataFile) -> Format:
        from pipelines.sources.registry import formats

        known = formats()
        found = known.get(self.format or "") or next((form for form in known.values() if suffix in form.suffixes), None)
        if found is None:
            raise unreadable(file, f"看不出格式，请在 format 中写明 {'、'.join(sorted(known))} 之一")
        if file.size == 0:
            raise unreadable(file, "文件是空的")
        return found(reading, self, file)
