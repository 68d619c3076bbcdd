"""JSON of others: what is wrong with it is a ValueError, whatever it is."""

from __future__ import annotations

import pytest

from vla_sae_ros.core.json_document import parse_json


def test_what_json_says_is_returned() -> None:
    assert parse_json('{"a": [1, {"b": null}], "c": 1.5}') == {"a": [1, {"b": None}], "c": 1.5}
    assert parse_json(b'"\xc3\xa4"') == "ä"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
        ('{"k": 3, "b": {"k": 1}, "k": 5}', "'k' stands twice"),
        (b"\xff\xfe{}", "decode|Expecting"),
        ("", "Expecting value"),
        ('{"k": ' + "1" * 5000 + "}", "4300"),
    ],
)
def test_anything_else_is_a_value_error(text: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_json(text)
