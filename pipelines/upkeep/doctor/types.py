"""What a check looks at, and what it says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

import duckdb

from models.domain.settings import Settings
from pipelines.sources.service import lock_holder

State = Literal["ok", "warn", "error"]


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: Name of the check.
        state: ``ok``; ``warn``: will become a fault, or hinders; ``error``: the next run or its readers fail.
        sentence: What is the case, in Chinese.
        remedy: What to do about it; empty where there is nothing to do.
    """

    check: str
    state: State
    sentence: str
    remedy: str = ""


@dataclass(frozen=True)
class Look:
    """What the checks look at. Nothing in it is changed by them.

    Attributes:
        settings: Home and settings.
        sources: Source configuration.
        now: The moment of the examination.
        is_deep: Whether large files are read through as well.
    """

    settings: Settings
    sources: Path
    now: datetime
    is_deep: bool = False

    @cached_property
    def holder(self) -> str | None:
        """The process that is at work in the home, None when there is none or the lock cannot be looked at (check ``lock``)."""
        try:
            return lock_holder(self.settings)
        except OSError:
            return None

    @cached_property
    def can_open(self) -> bool:
        """Whether the warehouse can be read, or is not there yet."""
        try:
            if self.settings.warehouse.is_file():
                duckdb.connect(str(self.settings.warehouse), read_only=True).close()
        except duckdb.Error:
            return False
        return True


Says = tuple[State, str] | tuple[State, str, str]
Check = Callable[[Look], Iterator[Says]]
"""Yields (state, sentence, remedy). A check that finds nothing amiss says so in one ``ok``."""
