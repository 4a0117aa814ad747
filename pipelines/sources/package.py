"""Load packages: dlt carries the typed rows, as Arrow, from the reader to the merge.

A pipeline of dlt lives only from extraction to merge; the warehouse alone knows what has been read. A
package that a kill left behind is loaded by the next run (dlt resumes it), unless the settings under which
it was read have changed: then it is dropped and its files are read again.
What does not belong here: how rows are read and merged.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import structlog

from models.domain.errors import YiwangError
from pipelines.sources.merge import Manifest

_RUNTIME = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
_CONFIG = {
    "load.workers": 1,
    "load.raise_on_max_retries": 1,
    "load.delete_completed_jobs": True,
    "data_writer.compression": "zstd",
    "data_writer.buffer_max_items": 1,
    "restore_from_destination": False,
}
_MANIFEST = "x-manifest"
Receive = Callable[[str, Manifest], None]
"""Takes the path of a package's Parquet file and its manifest."""


def resume(folder: Path, name: str, settings: str, receive: Receive) -> None:
    """Load the package that a killed run left, if there is one and it was read under the same settings.

    Args:
        folder: Where pipelines keep their packages.
        name: Name of the pipeline.
        settings: Digest of the present settings.
        receive: The merge.
    """
    if not (folder / name).exists():
        return

    def receive_current(path: str, manifest: Manifest) -> None:
        if manifest.settings == settings:
            receive(path, manifest)

    try:
        with _pipeline(folder, name, receive_current) as pipeline:
            if pipeline.has_pending_data:
                pipeline.normalize()
                pipeline.load()
    except Exception as error:
        # Whatever is wrong with the left-over package, its files are read again.
        structlog.get_logger().warning("package_dropped", pipeline=name, error=type(error).__name__)


def load(folder: Path, name: str, batches: Callable[[], Iterator[pa.RecordBatch]], manifest: Manifest, receive: Receive) -> bool:
    """Carry the batches in one package to ``receive``; false where there was no row, hence no package.

    Raises:
        YiwangError: As raised by ``batches`` or ``receive``; other errors of theirs as they are.
    """
    _silence()
    import dlt

    received = False

    def receive_once(path: str, package: Manifest) -> None:
        nonlocal received
        receive(path, package)
        received = True

    def read() -> Iterator[pa.RecordBatch]:  # dlt takes functions only
        yield from batches()

    with _pipeline(folder, name, receive_once) as pipeline:
        rows = dlt.resource(
            read,
            name="rows",
            schema_contract={"columns": "evolve", "data_type": "freeze"},
        )
        rows.apply_hints(additional_table_hints={_MANIFEST: manifest.to_json()})
        pipeline.extract(rows)
        pipeline.normalize()
        pipeline.load()
    return received


def _silence() -> None:
    # dlt reads these once, when it is first used; its telemetry would start by default.
    os.environ.update(_RUNTIME)


@contextmanager
def _pipeline(folder: Path, name: str, receive: Receive) -> Iterator[Any]:
    _silence()
    import dlt  # imported late: half a second, and only where there is something to load
    from dlt.pipeline.exceptions import PipelineStepFailed

    # One file per package, one job, in this thread: the merge is one transaction on one connection.
    @dlt.destination(batch_size=0, loader_file_format="parquet", name="raw", max_parallel_load_jobs=1)
    def raw(items: Any, table: Any) -> None:
        receive(items, Manifest.from_json(table[_MANIFEST]))

    with dlt.config.values(_CONFIG):
        try:
            yield dlt.pipeline(name, destination=raw, pipelines_dir=str(folder))
        except PipelineStepFailed as error:
            raise _cause(error) from error
        finally:
            shutil.rmtree(folder / name, ignore_errors=True)


def _cause(error: BaseException) -> BaseException:
    """The error that began it all, the first of ours if there is one."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return next((link for link in chain if isinstance(link, YiwangError)), chain[-1])
