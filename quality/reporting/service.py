"""The door to precise reporting 精准上报: packages for the platform above, with what is right and nothing else.

A package brings the level above up to date on all days that packages of its subject have been about: what is new in its
period, what was mended or arrived late since (补报), what changed since it was reported (更正) and what its source has
deleted (撤回). A record goes out once in each version, and never while it has an open blocking violation, stands in a partition
that was not checked, or belongs to a record that is held back or does not stand above: cases go first, and what belongs to one that
was withdrawn is withdrawn by the next package of its subject.
"""

import os
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from models.domain.errors import YiwangError
from models.domain.progress import Progress
from models.domain.settings import Settings
from quality.reporting import building, ledger
from quality.reporting.items import REPORTED
from quality.reporting.ledger import Folders, Package
from quality.reporting.manifest import MANIFEST, Manifest, sm3
from quality.reporting.period import Period
from quality.reporting.selection import ACTIONS, REASONS
from quality.reporting.shelf import HeldGroup, HeldLine, built, held_files, held_groups, held_lines, manifest_of
from quality.reporting.signing import public_key
from quality.reporting.verification import later, read_manifest, verify

__all__ = [
    "ACTIONS", "REASONS", "REPORTED", "HeldGroup", "HeldLine", "Manifest", "Package", "Period", "build", "built", "correct", "folder_of", "followers", "held", "held_files",
    "held_folder_of", "held_groups", "held_lines", "later", "manifest_of", "packages", "public_key", "read_manifest", "resend", "verify", "withdraw",
]  # fmt: skip


def build(
    settings: Settings, subject: str, period: Period, at: datetime, *, rules: Path | None = None, vanished: float = building.VANISHED,
    progress: Progress | None = None,
) -> Package:  # fmt: skip
    """Build the next package of a subject from the snapshot in service, and the lists of records held back.

    Args:
        settings: The home, keys, limits of memory.
        subject: One of :data:`REPORTED`.
        period: Its days; over at the snapshot's ``as_of``.
        at: Now.
        rules: Folder of rule files; the shipped ones when None.
        vanished: Share of what was reported that may have vanished from the source.
        progress: Told of stages.

    Raises:
        YiwangError: YW-REPORT-001 to -005, -010 and -011; YW-STORE-001 where nothing is published; YW-RUN-007 where the disk is full.
    """
    return building.build(settings, subject, period, at, rules=rules, vanished=vanished, progress=progress)


def correct(settings: Settings, subject: str, keys: Sequence[str], at: datetime, *, rules: Path | None = None, progress: Progress | None = None) -> Package:
    """Report some records again as they are now, changed or not, also such as were withdrawn.

    Args:
        settings: The home.
        subject: One of :data:`REPORTED`.
        keys: Keys, their parts joined by ``/``; with source and tab in front where two sources have the key.
        at: Now.
        rules: As for :func:`build`.
        progress: Told of stages.

    Raises:
        YiwangError: YW-REPORT-008 where one was never reported, is gone or is held back: then none goes out.
    """
    return building.on_demand(settings, subject, "correct", keys, at, rules=rules, progress=progress)


def withdraw(settings: Settings, subject: str, keys: Sequence[str], at: datetime, *, rules: Path | None = None, progress: Progress | None = None) -> Package:
    """Take some reported records back; they go out again when their content changes or by :func:`correct`.

    Raises:
        YiwangError: YW-REPORT-008 where one was never reported or is withdrawn already: then none is.
    """
    return building.on_demand(settings, subject, "withdraw", keys, at, rules=rules, progress=progress)


def followers(settings: Settings, number: str) -> dict[str, int]:
    """Subject → records that still stand above and belong to what a package withdrew: the next package of their subject withdraws them.

    Args:
        settings: The home.
        number: Number of the package.
    """
    return building.list_followers(settings, number)


def held(
    settings: Settings, subject: str, period: Period, folder: Path | None = None, *, rules: Path | None = None, progress: Progress | None = None
) -> list[HeldGroup]:
    """What a package would hold back now; nothing is built.

    Args:
        settings: The home.
        subject: One of :data:`REPORTED`.
        period: Its days.
        folder: Where to write the lists of the departments; None writes none. It must not be there yet.
        rules: As for :func:`build`.
        progress: Told of stages.

    Returns:
        By department and rule, the most first.
    """
    if folder is not None and folder.exists():
        raise YiwangError("YW-REPORT-012", path=folder)
    return building.list_held(settings, subject, period, folder, rules=rules, progress=progress)


def packages(settings: Settings, subject: str | None = None) -> list[Package]:
    """The packages built so far, in order."""
    with ledger.opened(settings) as connection:
        return ledger.packages(connection, subject)


def folder_of(settings: Settings, number: str) -> Path:
    """Where a package is."""
    return Folders.of(settings).packages / number


def held_folder_of(settings: Settings, number: str) -> Path:
    """Where the lists of records held back from a package are."""
    return Folders.of(settings).held / number


def resend(settings: Settings, number: str, to: Path) -> Path:
    """Give a package out again, byte for byte as it was built.

    Args:
        settings: The home.
        number: Number of the package.
        to: Folder into which it is copied, under its number.

    Raises:
        YiwangError: YW-REPORT-006 for an unknown number, YW-REPORT-007 where the package is not as it was built,
            YW-REPORT-012 where the target is there already.
    """
    known = {package.number: package for package in packages(settings)}
    if number not in known:
        raise YiwangError("YW-REPORT-006", package=number)
    source, target = folder_of(settings, number), to / number
    if not source.is_dir() or sm3((source / MANIFEST).read_bytes() if (source / MANIFEST).is_file() else b"") != known[number].manifest_sm3:
        raise YiwangError("YW-REPORT-007", what=source, detail="清单不在，或不是建包时的清单")
    if problem := verify(settings, source):
        raise YiwangError("YW-REPORT-007", what=source, detail=problem.rstrip("。"))
    if target.exists():
        raise YiwangError("YW-REPORT-012", path=target)
    draft = to / f".{number}.{os.getpid()}"
    try:
        shutil.copytree(source, draft)
        os.rename(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target
