from __future__ import annotations

import io
import re

import pytest

from vla_sae_ros.supervision.console import Console


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FakeClosedPipe(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_line_has_time_name_and_text() -> None:
    stream = io.StringIO()
    console = Console(["policy"], stream)
    console.line("policy", "ready")
    console.say("stopping")
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} policy     \| ready", first)
    assert second.endswith("supervisor | stopping")


def test_names_are_coloured_on_a_terminal_unless_no_color_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = FakeTerminal()
    Console(["policy"], terminal).line("policy", "ready")
    assert "\033[36mpolicy" in terminal.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = FakeTerminal()
    Console(["policy"], terminal).line("policy", "ready")
    assert "\033" not in terminal.getvalue()


def test_a_reader_that_left_does_not_stop_the_system() -> None:
    console = Console(["policy"], FakeClosedPipe())
    console.line("policy", "nobody reads this")
    console.line("policy", "nor this")
