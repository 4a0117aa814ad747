"""What a package says of itself: a JSON manifest with a digest of every file, signed beside it."""

import json
import re
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

from cryptography.hazmat.primitives.hashes import SM3, Hash
from pydantic import BaseModel, ConfigDict, Field

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
"""The two files of a package that its manifest does not list."""
NUMBER = re.compile(r"[a-z_]+-\d{6}")
"""A package's number, the name of its folder."""
_BLOCK = 1 << 20

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Days(_Part):
    """First and last day of a package."""

    first: date
    last: date


class Previous(_Part):
    """The package of the subject before this one, None for the first."""

    package: str
    manifest_sm3: Digest


class Catalogue(_Part):
    """The rules by which records were held back: digest of their files, number of rules, and of those that block."""

    sm3: Digest
    rules: int
    blocking: int


class ItemStatement(_Part):
    """How an item of GB/T 39046 is in the package: in clear, masked or absent, and why."""

    field: str
    title: str
    item: str | None
    state: Literal["clear", "masked", "absent"]
    why: str


class HeldLine(_Part):
    """Records held back by a rule (or by a reason that is none): counted first under it, and all that it concerns."""

    rule_id: str
    title: str
    first: int
    all: int


class Reconciliation(_Part):
    """Where the source's rows are: ``source_rows`` is the sum of the other counts of rows.

    Attributes:
        source_rows: Rows that the sources delivered and the platform keeps, or has set aside.
        in_package: Of the period or of earlier ones, in this package as new, late or corrected.
        reported_before: As an earlier package reported them.
        held_back: Not good enough; each once, see ``held``.
        withdrawn: Withdrawn on demand, unchanged since.
        not_due: Of days that no package was about.
        quarantined: Could not be read; their day is unknown, so they are counted with every period.
        superseded: Overtaken by a later row of the same record, by the books of the sync.
        held: ``held_back`` by rule.
        books: What the sync's books say of the number of records, None where they cannot.
    """

    source_rows: int
    in_package: int
    reported_before: int
    held_back: int
    withdrawn: int
    not_due: int
    quarantined: int
    superseded: int
    held: tuple[HeldLine, ...]
    books: str | None

    @property
    def difference(self) -> int:
        """Zero where it closes."""
        rest = self.in_package + self.reported_before + self.held_back + self.withdrawn + self.not_due + self.quarantined + self.superseded
        return self.source_rows - rest


class FileEntry(_Part):
    """A file of a package: name, size in bytes, SM3 of its content in hex, lines or rows of a sheet without the heading."""

    name: str = Field(pattern=r"^[a-z0-9_-]+\.(jsonl|xlsx)$")
    bytes: int
    sm3: Digest
    rows: int


class Manifest(_Part):
    """What a package says of itself.

    Attributes:
        format: Version of this form.
        package: Number of the package.
        kind: ``build``; ``correct`` or ``withdraw`` on demand.
        subject: What it reports.
        title: The same, in Chinese.
        period: Its days; None on demand.
        run_id: Run whose published data it is made from.
        as_of: Instant to which that is valid.
        built_at: When it was made.
        previous: The package before.
        catalogue: The quality rules.
        items: All items of the contract.
        counts: Lines by action: ``new``, ``late``, ``correct``, ``withdraw``.
        reconciliation: None on demand.
        files: All files but the manifest and its signature.
    """

    format: Literal["yiwang-report/1"] = "yiwang-report/1"
    package: str = Field(pattern=r"^[a-z0-9_-]+$")
    kind: Literal["build", "correct", "withdraw"]
    subject: str
    title: str
    period: Days | None
    run_id: str
    as_of: datetime
    built_at: datetime
    previous: Previous | None
    catalogue: Catalogue
    items: tuple[ItemStatement, ...]
    counts: dict[str, int]
    reconciliation: Reconciliation | None
    files: tuple[FileEntry, ...]

    @property
    def lines(self) -> int:
        """Lines of the package."""
        return sum(self.counts.values())

    def to_json(self) -> bytes:
        """As its file holds it."""
        return (json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n").encode()


def sm3_of(path: Path) -> str:
    """SM3 of a file, in hex; it is read in blocks."""
    digest = Hash(SM3())
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.finalize().hex()


def sm3(content: bytes) -> str:
    """SM3 of some bytes, in hex."""
    digest = Hash(SM3())
    digest.update(content)
    return digest.finalize().hex()
