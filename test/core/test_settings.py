"""Values of settings are taken as they stand or refused by line and key."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.settings import at_least, read_settings
from vla_sae_ros.core.steering import Mode
from vla_sae_ros.core.yaml_document import parse_yaml


@dataclass(frozen=True)
class Inner:
    least: int = 3
    first: int = field(default=0, metadata={"key": "from"})

    def __post_init__(self) -> None:
        at_least("least", self.least, 1)


@dataclass(frozen=True)
class Outer:
    name: str
    hold: bool = False
    seed: int = 0
    value: float = 0.0
    window: tuple[float, float] = (0.0, 0.0)
    ids: tuple[int, ...] = ()
    labels: dict[int, str] = field(default_factory=dict)
    folder: Path | None = None
    mode: Mode = Mode.ADD
    side: Literal["left", "right"] = "left"
    inner: Inner = field(default_factory=Inner)
    more: dict[str, Any] = field(default_factory=dict)


def read(text: str) -> Outer:
    return read_settings(Outer, parse_yaml(text), "the settings")


def test_every_kind_of_value_is_read() -> None:
    assert read(
        "name: a\nhold: true\nseed: -4\nvalue: 2\nwindow: [1, 2.5]\nids: [1, 2]\n"
        "labels: {12: grasp}\nfolder: a/b\nmode: project_out\nside: right\n"
        "inner: {from: 5}\nmore: {x: [1, a]}"
    ) == Outer(
        "a", True, -4, 2.0, (1.0, 2.5), (1, 2), {12: "grasp"}, Path("a/b"), Mode.PROJECT_OUT,
        "right", Inner(3, 5), {"x": [1, "a"]},
    )  # fmt: skip
    assert read("{name: a, folder: null}").folder is None
    assert read("{name: a, value: 1e-3}").value == 0.001


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('hold: "false"', "`hold`: got 'false'; allowed: true or false"),
        ("hold: yes", "`hold`: got 'yes'"),
        ("hold: 1", "`hold`"),
        ("seed: seven", "`seed`.*a whole number"),
        ("seed: 1.0", "`seed`"),
        ("seed: true", "`seed`"),
        ("seed: 010", "`seed`"),
        ("seed: null", "`seed`"),
        ('seed: "3"', "`seed`"),
        ("value: 1:30", "`value`.*a number"),
        ("value: yes", "`value`"),
        ("value: 00.5", "`value`"),
        (f"value: 1{'0' * 400}", "`value`"),
        (f"seed: {'9' * 5000}", "`seed`"),
        ('window: "12"', "`window`.*a list"),
        ("window: [1, 2, 3]", "`window`.*a list of 2"),
        ("ids: 3", "`ids`.*a list"),
        ("ids: [1, a]", r"`ids\[1\]`"),
        ("labels: {a: b}", "`labels, a key`: got 'a'.*a whole number"),
        ("labels: {1: 2}", "`labels.1`.*text"),
        ("folder: 3", "`folder`"),
        ("mode: push", "`mode`.*clamp, add, scale, project_out"),
        ("mode: CLAMP", "`mode`"),
        ("side: up", "`side`.*left, right"),
        ("inner: {least: 0}", "in `inner`.*1 or more"),
        ("inner: {first: 3}", "`inner.first`.*from"),
        ("inner: 3", "`inner`.*a mapping"),
        ("seeed: 3", "Did you mean `seed`"),
        ("more: {x: 010}", "different things"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_line_and_key(line: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"line 2: ?.*{says}"):
        read(f"name: a\n{line}\n")


@pytest.mark.parametrize("name", ["3", "null", "2026-11-28", "true", "1.5", "", "[a]", "no"])
def test_text_that_could_be_something_else_wants_quotes(name: str) -> None:
    with pytest.raises(ConfigurationError, match="`name`"):
        read(f"name: {name}")
    assert read(f"name: '{name}'").name == name


def test_what_is_missing_and_what_is_no_mapping_is_said() -> None:
    with pytest.raises(ConfigurationError, match="`name` is missing"):
        read("{seed: 3}")
    for text in ("", "- a", "3"):
        with pytest.raises(ConfigurationError, match=r"the settings.*a mapping"):
            read(text)
