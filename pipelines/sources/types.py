"""What the sync hands round: a run, and what it counted."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class RunRef:
    """A run of the pipelines.

    Attributes:
        run_id: UUIDv7.
        run_seq: Number of the run in this home, from 1; raw rows carry the one in which they last changed.
    """

    run_id: str
    run_seq: int


@dataclass(frozen=True)
class SyncCount:
    """What one run did with the rows of one subject of one source (a row of ``ops.sync_count``).

    ``rows_read = inserted + updated + unchanged + superseded + deleted + quarantined``, always.

    Attributes:
        run_id: The run.
        run_seq: Its number.
        source: Name of the source.
        subject: Name of the subject.
        rows_read: Rows in the files that were new or had changed.
        inserted: Records seen for the first time.
        updated: Records whose content changed, or that came back after a deletion.
        unchanged: Records that say what is already stored.
        superseded: Rows that lost against a later version of their record.
        deleted: Records that their source marks as deleted.
        quarantined: Rows that cannot be parsed, typed or keyed.
        files: Files read.
        unmapped: Columns of the source that nothing maps, in alphabetical order.
        missing: Columns that filled a field before and that no record of this run has, in alphabetical order.
    """

    run_id: str
    run_seq: int
    source: str
    subject: str
    rows_read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    superseded: int = 0
    deleted: int = 0
    quarantined: int = 0
    files: int = 0
    unmapped: tuple[str, ...] = field(default=())
    missing: tuple[str, ...] = field(default=())


COUNTS = ("rows_read", "inserted", "updated", "unchanged", "superseded", "deleted", "quarantined")
"""The counting columns of ``ops.sync_count``, in order."""
