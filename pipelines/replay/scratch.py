"""A scratch home in which the marts of another day are made, and that leaves nothing behind."""

# ruff: noqa: S608 - names enter statements through store.name() and store.literal() only

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from models.domain.errors import YiwangError
from models.domain.settings import Settings
from pipelines.sources.history import READ_BY_MODELS, as_known, replaced_until
from pipelines.sources.service import prepare, run_lock
from pipelines.sources.store import history_of, literal, name, versioned_tables, warehouse
from pipelines.upkeep.home import upgrade
from pipelines.warehouse.service import manifest, target_dir


@contextmanager
def scratch_home(settings: Settings, known_to: int | None) -> Iterator[Settings]:
    """The settings of a home of its own that holds the raw layer as one run knew it; the home vanishes at the end.

    The real home is locked only while its raw layer is copied. What a kill left of earlier scratch homes is removed.

    Args:
        known_to: Number of the run; None for all that is known now.

    Raises:
        YiwangError: YW-RUN-001 while another run holds the home.
    """
    folder = settings.work / "replay"
    _sweep(settings)
    scratch = settings.model_copy(update={"home": folder / uuid.uuid4().hex, "quality_docs": False, "quality_profile": False, "forecast": False, "quality_rules": settings.own_rules})
    try:
        with run_lock(scratch):
            prepare(scratch)
            with run_lock(settings):
                ready(settings)
                _copy(settings, scratch, known_to)
            manifest(settings)
            shutil.copytree(target_dir(settings), target_dir(scratch), dirs_exist_ok=True, ignore=shutil.ignore_patterns("run", "city*", "warehouse*"))
            yield scratch
    finally:
        shutil.rmtree(scratch.home, ignore_errors=True)


def ready(settings: Settings) -> None:
    """Make the real home readable by this program; a home made before there was a history has none of its tables.

    The digest key is not asked for: nothing is digested here. The caller holds the home's lock.

    Raises:
        YiwangError: YW-RUN-008 for a home of a newer program.
    """
    with warehouse(settings) as connection:
        upgrade(connection)
    prepare(settings)


def _sweep(settings: Settings) -> None:
    for left in (settings.work / "replay").glob("*"):
        with suppress(YiwangError), run_lock(settings.model_copy(update={"home": left})):  # one that is held is at work
            shutil.rmtree(left, ignore_errors=True)


def _copy(settings: Settings, scratch: Settings, known_to: int | None) -> None:
    with warehouse(scratch) as connection:
        connection.execute(f"ATTACH {literal(str(settings.warehouse))} AS live (READ_ONLY)")
        until = "" if known_to is None else f"WHERE run_seq <= {int(known_to)}"
        latest = 2**31 - 1 if known_to is None else known_to
        for table in versioned_tables():
            connection.execute(f"INSERT INTO raw.{name(table)} BY NAME FROM {as_known(table, latest, 'live')}")
        for table in READ_BY_MODELS:
            connection.execute(f"INSERT INTO raw.{name(history_of(table))} BY NAME FROM {replaced_until(table, latest, 'live')}")
        for table in ("run", "sync_count", "source_file"):
            connection.execute(f"INSERT INTO ops.{table} BY NAME SELECT * FROM live.ops.{table} {until}")
        connection.execute("DETACH live")
