"""A long command tells how far it is, on a terminal and in a log."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from vla_sae_ros.core.progress import PERIOD, CommandProgress, rate_in_words


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def lines_of(terminal: bool, steps: int, seconds: float, shown: bool = True) -> list[str]:
    """Return what is written before the end of `steps` of 10 steps, `seconds` apart."""
    written, clock = StringIO(), Clock()
    console = Console(file=written, force_terminal=terminal, width=40)
    progress = CommandProgress(shown, console, clock)
    bar = progress.add_task("collecting [a]", total=10, note="12 MB to come")
    for _ in range(steps):
        clock.now += seconds
        progress.advance(bar)
    return written.getvalue().splitlines()


def test_a_log_gets_a_line_with_rate_and_note_every_half_minute() -> None:
    lines = lines_of(terminal=False, steps=8, seconds=PERIOD / 4)
    assert len(lines) == 2
    assert lines[0] == "collecting [a]: 4 of 10, 30 s, 7.5 s each, 45 s left, 12 MB to come"
    assert lines[1].startswith("collecting [a]: 8 of 10, 60 s")


@pytest.mark.parametrize(
    ("speed", "words"), [(2.5, "2.5/s"), (0.25, "4.0 s each"), (None, ""), (0.0, "")]
)
def test_a_rate_reads_well_whether_fast_slow_or_unknown(speed: float | None, words: str) -> None:
    assert rate_in_words(speed) == words


def test_slow_steps_are_each_told() -> None:
    lines = lines_of(terminal=False, steps=3, seconds=2 * PERIOD)
    assert lines[1:] == [
        "collecting [a]: 2 of 10, 120 s, 60.0 s each, 480 s left, 12 MB to come",
        "collecting [a]: 3 of 10, 180 s, 60.0 s each, 420 s left, 12 MB to come",
    ]


def test_an_update_that_changes_the_words_is_told_too() -> None:
    written, clock = StringIO(), Clock()
    progress = CommandProgress(console=Console(file=written), clock=clock)
    bar = progress.add_task("waiting", total=None)
    clock.now = PERIOD
    progress.update(bar, description="running", completed=5)
    assert written.getvalue() == "running: 5, 30 s\n"


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_no_plain_line_beside_a_bar_or_where_none_is_wanted(terminal: bool, shown: bool) -> None:
    assert lines_of(terminal, steps=8, seconds=PERIOD, shown=shown) == []


@pytest.mark.parametrize(
    ("description", "note"),
    [
        ("runs", "a note far longer than what is left of the line"),
        ("a description far longer than what is left", "a note as well, and no shorter"),
    ],
)
def test_on_a_narrow_terminal_only_words_are_cut_short(description: str, note: str) -> None:
    written, clock = StringIO(), Clock()
    console = Console(file=written, force_terminal=True, width=60, color_system=None)
    progress = CommandProgress(console=console, clock=clock)
    bar = progress.add_task(description, total=3270, note="")
    for _ in range(507):
        clock.now += 7.3
        progress.advance(bar)
    progress.update(bar, note=note)
    console.print(progress.get_renderable())
    (line,) = written.getvalue().split("\n")[:-1]
    for whole in ("507/3270", "1:01:41", "7.3 s each", "5:36:10"):
        assert whole in line
    assert "…" in line
