"""A dry run: the first rows of a source as they would be loaded, masked, with nothing written anywhere."""

# ruff: noqa: S608 - names and values enter statements through store.name() and store.literal() only

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from models.domain.contracts import Personal, columns
from models.domain.settings import Settings
from pipelines.sources.config import Source, SourceFile
from pipelines.sources.masking import masked_key, masked_personal
from pipelines.sources.reading import Reading
from pipelines.sources.store import create_tables, literal, name, use_digest_key


@dataclass(frozen=True)
class Preview:
    """What a dry run found.

    Attributes:
        fields: Fields of the contract that at least one row fills, in the contract's order, identifiers as their mask.
        rows: The first good rows, field → value as text, personal data masked.
        set_aside: The first rows that would be set aside: ``reason``, ``key`` and ``raw`` (masked JSON).
        unmapped: Columns that nothing maps.
    """

    fields: list[str]
    rows: list[dict[str, Any]]
    set_aside: list[dict[str, Any]]
    unmapped: list[str]


def preview(settings: Settings, source_file: SourceFile, source: Source, limit: int = 20, may_read: Callable[[Path], bool] | None = None) -> Preview:
    """Read the first rows of a source and map them.

    Works in a warehouse of its own in memory: neither the home's warehouse nor the source is changed, and what was
    read before does not count.

    Args:
        settings: Memory, threads; the digest key is only used to mask, its file is not made.
        source_file: All sources, for columns that another subject of the same rows takes.
        source: The one to read.
        limit: Greatest number of rows read.
        may_read: As :attr:`Reading.may_read`.

    Raises:
        YiwangError: YW-SYNC-…, as the sync would.
    """
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(":memory:", config=_config(settings, folder)) as connection:
        scratch = settings.model_copy(update={"home": Path(folder)})
        scratch.work.mkdir(parents=True)
        reading = Reading(scratch, connection, source_file, source, limit=limit, may_read=may_read)
        reading.scratch.mkdir()
        create_tables(connection)
        use_digest_key(scratch, connection)
        batches: list[pa.RecordBatch] = []
        unmapped: set[str] = set()
        connection.execute(f"SET TimeZone = {literal(source.zone)}")
        for load in source.loads(reading):
            if load.says == "keys":
                continue
            unmapped |= set(load.unmapped)
            for batch in load.rows():
                batches.append(batch)
                if sum(b.num_rows for b in batches) >= limit:
                    break
            if sum(b.num_rows for b in batches) >= limit:
                break
        if not batches:
            return Preview([], [], [], sorted(unmapped))
        connection.register("_read", pa.Table.from_batches(batches).slice(0, limit))
        good = connection.sql(f"SELECT {_shown(source)} FROM _read WHERE _reason_code IS NULL").to_arrow_table().to_pylist()
        bad = connection.sql("SELECT _reason AS reason, _record_key AS key, _raw_masked AS raw FROM _read WHERE _reason_code IS NOT NULL")
        set_aside = bad.to_arrow_table().to_pylist()
    fields = [field for field in columns(source.contract) if any(row[field] is not None for row in good)]
    return Preview(fields, [{field: row[field] for field in fields} for row in good], set_aside, sorted(unmapped))


def _config(settings: Settings, folder: str) -> dict[str, Any]:
    return {
        "threads": settings.threads, "memory_limit": settings.memory_limit, "temp_directory": folder,
        "autoinstall_known_extensions": False, "autoload_known_extensions": False, "preserve_insertion_order": True,
    }  # fmt: skip


def _shown(source: Source) -> str:
    parts = []
    for field, spec in columns(source.contract).items():
        text = f"CAST({name(field)} AS VARCHAR)"
        if spec.personal is Personal.IDENTIFIER:
            text = name(f"{field}_masked")
        elif spec.personal:
            text = masked_personal(text, spec.personal)
        elif field in source.keys:
            text = masked_key(text)
        parts.append(f"{text} AS {name(field)}")
    return ", ".join(parts)
