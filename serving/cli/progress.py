"""Progress as rich bars; plain lines where the output is no terminal."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Bars:
    """Draws :class:`models.domain.progress.Progress` on the console's error stream."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars = Progress(
            SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), BarColumn(bar_width=28), MofNCompleteColumn(),
            TimeElapsedColumn(), TextColumn("[dim]{task.fields[note]}"), console=console, disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def start(self, stage: str, total: float | None = None) -> None:
        """A new bar; one that pulses when the total is unknown."""
        self._tasks[stage] = self._bars.add_task(stage, total=total, note="")

    def advance(self, stage: str, amount: float = 1) -> None:
        """Moves the stage's bar."""
        if stage in self._tasks:
            self._bars.advance(self._tasks[stage], amount)

    def finish(self, stage: str, note: str = "") -> None:
        """Fills the stage's bar."""
        if stage not in self._tasks:
            return
        task = self._bars.tasks[self._tasks[stage]]
        done = task.completed if task.total is None else task.total
        self._bars.update(task.id, total=done or 1, completed=done or 1, note=note)
        if not self.console.is_terminal:
            self.console.print(f"✓ {stage}（{task.elapsed or 0:.1f} 秒）{note}")
