"""The formats of files: one module, one class each (docs/sources.md, "A format of its own")."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

if TYPE_CHECKING:
    from pipelines.sources.files import DataFile
    from pipelines.sources.kinds.file import FileSource
    from pipelines.sources.reading import Reading


class Format:
    """Reads one file of its format.

    A subclass checks the file and finds its columns when it is made, and gives its rows in :meth:`rows`.

    Attributes:
        name: Value of the key ``format``.
        suffixes: Suffixes of file names that mean the format, in lower case with the dot.
        columns: Column → DuckDB type, as :meth:`rows` gives them to the mapping.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    columns: dict[str, str]

    def __init__(self, reading: "Reading", source: "FileSource", file: "DataFile") -> None:
        self.reading, self.source, self.file = reading, source, file

    def expected_rows(self) -> int | None:
        """Rows of the file, where its format tells without reading it."""
        return None

    def alike(self) -> Any:
        """Files with the same value may be read together by :meth:`rows_of`."""
        return self.file.path

    def rows(self) -> Iterator[pa.RecordBatch]:
        """The file's rows, typed: the columns of a load package. Most formats end with ``reading.mapped(…)``.

        Raises:
            YiwangError: YW-SYNC-004 where the content is broken.
        """
        raise NotImplementedError

    @classmethod
    def rows_of(cls, readers: Sequence["Format"]) -> Iterator[pa.RecordBatch]:
        """The rows of files that are alike."""
        for reader in readers:
            yield from reader.rows()
