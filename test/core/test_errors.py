"""The text of an error is safe to print and to send, whatever it quotes."""

from __future__ import annotations

import pickle

import pytest

from vla_sae_ros.core.errors import RecordingError, escaped

ODD = {
    "line\rover\x08it": "line\\rover\\x08it",
    "\x1b[31mred": "\\x1b[31mred",
    "\u202ecba": "\\u202ecba",
    "\ud83d": "\\ud83d",
    "two\n\tlines": "two\n\tlines",
    "grün, שלום, 右": "grün, שלום, 右",
}


@pytest.mark.parametrize(("text", "shown"), ODD.items(), ids=range(len(ODD)))
def test_what_a_terminal_obeys_or_hides_is_written_as_an_escape(text: str, shown: str) -> None:
    assert escaped(text) == escaped(shown) == shown
    assert str(RecordingError(f"not a name: {text}")) == f"not a name: {shown}"
    shown.encode()


def test_an_error_keeps_its_parts_through_a_process() -> None:
    again = pickle.loads(pickle.dumps(RecordingError("a\x07", 3)))
    assert again.args == ("a\\x07", 3)
