"""Other people's text on a terminal is text: no markup, no escape sequences."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from rich.table import Table

import vla_sae_ros
from vla_sae_ros.core.one_line import one_line
from vla_sae_ros.core.terminal import plain_console

ODD = "[red]x[/] [/nothing] :smile: [link=file:///x]y"


def test_a_console_shows_brackets_and_colons_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = Table(ODD, title=ODD)
    table.add_row(ODD)
    plain_console().print(ODD)
    plain_console().print(table)
    assert capsys.readouterr().out.count(ODD) == 4


def test_no_command_makes_a_console_that_takes_text_for_markup() -> None:
    made = []
    for path in Path(vla_sae_ros.__file__).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name == "terminal.py" or "from rich.console import" not in text:
            continue
        calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
        if any(isinstance(call.func, ast.Name) and call.func.id == "Console" for call in calls):
            made.append(path.name)
    assert made == []


def test_a_line_has_no_escape_sequence_no_break_and_no_turned_direction() -> None:
    assert one_line("a\x1b[31mb\x07\nc\u202ed\u2028e  f") == "a [31mb c d e f"
    assert one_line("é 手 x") == "é 手 x"
    assert len(one_line("x" * 10_000)) == 300
