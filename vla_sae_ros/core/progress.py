"""Progress of long commands: a bar on a terminal, a plain line every half minute elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from vla_sae_ros.core.terminal import plain_console

PERIOD = 30.0  # [s] between plain lines
SPEED_OVER = 600.0  # [s] of which the time left is told; steps may take minutes


class RateColumn(ProgressColumn):
    """How fast a task gets on."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        """Return the rate in words, nothing while it is not known."""
        return Text(rate_in_words(task.finished_speed or task.speed))


class WordsColumn(ProgressColumn):
    """A task's words, which are cut short where the terminal is narrow; the numbers are not.

    Args:
        words: what to show of a task.
    """

    def __init__(self, words: Callable[[Task], str]) -> None:
        super().__init__(Column(no_wrap=False))
        self._words = words

    def render(self, task: Task) -> Text:
        """Return the words, on one line."""
        return Text(self._words(task), no_wrap=True, overflow="ellipsis")


class CommandProgress(Progress):
    """Rich's progress on stderr; a task may have a `note`, a few words at its end.

    Where the console is no terminal (a log file, a pipe), a bar cannot move: the first sign of
    progress after every PERIOD becomes a line of its own. `clock` returns seconds.
    """

    def __init__(
        self,
        shown: bool = True,
        console: Console | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(
            WordsColumn(lambda task: task.description),
            BarColumn(bar_width=20),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeElapsedColumn(Column(no_wrap=True)),
            RateColumn(),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            WordsColumn(lambda task: task.fields["note"]),
            console=console or plain_console(stderr=True),
            get_time=clock,
            speed_estimate_period=SPEED_OVER,
            disable=not shown,
        )
        self._told_at = self.get_time()

    def add_task(
        self,
        description: str,
        start: bool = True,
        total: float | None = 100.0,
        completed: int = 0,
        visible: bool = True,
        **fields: Any,
    ) -> TaskID:
        """Add a task, without a note unless one is given."""
        return super().add_task(
            description, start, total, completed, visible, **{"note": "", **fields}
        )

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Change a task, as rich does, and tell it where no bar moves."""
        super().update(task_id, **changes)
        self._tell(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Advance a task, as rich does, and tell it where no bar moves."""
        super().advance(task_id, advance)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        if self.disable or self.console.is_terminal:
            return
        now = self.get_time()
        if now - self._told_at >= PERIOD:
            self._told_at = now
            self.console.print(plain_line(self._tasks[task_id]), markup=False, soft_wrap=True)


def rate_in_words(speed: float | None) -> str:
    """Return "2.5/s", or "4.0 s each" below one per second; nothing where no rate is known."""
    if not speed:
        return ""
    return f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each"


def plain_line(task: Task) -> str:
    """Return where a task stands, in words; times in whole seconds."""
    total = "" if task.total is None else f" of {task.total:.0f}"
    rate = rate_in_words(task.speed)
    rate = f", {rate}" if rate else ""
    left = "" if task.time_remaining is None else f", {task.time_remaining:.0f} s left"
    note = f", {task.fields['note']}" if task.fields["note"] else ""
    so_far = f"{task.description}: {task.completed:.0f}{total}, {task.elapsed or 0:.0f} s"
    return f"{so_far}{rate}{left}{note}"
