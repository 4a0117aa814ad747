"""How long work reports how far it is: a protocol that the command line draws as bars."""

from typing import Protocol


class Progress(Protocol):
    """Receiver of progress; stages are Chinese names that people see."""

    def start(self, stage: str, total: float | None = None) -> None:
        """A stage begins; ``total`` in the unit of :meth:`advance`, None when unknown."""

    def advance(self, stage: str, amount: float = 1) -> None:
        """A part of the stage is done."""

    def finish(self, stage: str, note: str = "") -> None:
        """The stage is done."""


class NoProgress:
    """Receives progress and shows nothing."""

    def start(self, stage: str, total: float | None = None) -> None:
        """Nothing."""

    def advance(self, stage: str, amount: float = 1) -> None:
        """Nothing."""

    def finish(self, stage: str, note: str = "") -> None:
        """Nothing."""
