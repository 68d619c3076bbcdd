"""YAML is bounded before it is built; what readers would take for different things is refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.yaml_document import DEEPEST, MOST_BYTES, parse_yaml, read_yaml
from vla_sae_ros.resources import resource

SHIPPED = sorted(resource("config").rglob("*.yaml")) + sorted(
    resource("models").rglob("*.yaml") if resource("models").exists() else []
)


def with_text_keys(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): with_text_keys(item) for key, item in value.items()}
    return [with_text_keys(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_file_reads_as_it_does_with_another_reader(path: Path) -> None:
    theirs = yaml.safe_load(path.read_text())
    assert repr(read_yaml(path).value()) == repr(with_text_keys(theirs))


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, -2, 0.5, 1e-5, True, None, "", "yes", "010", "1:30", "null", "2026-11-28"]},
        {"ids": ["12", "1e5", "123456789012e345", "0x1F", "-", "~", "<<", "ü\n\t'\""]},
        [],
        {},
        "text\nof two lines\n",
    ],
)
def test_what_safe_dump_writes_is_read_back(value: object) -> None:
    for flow in (True, False):
        assert parse_yaml(yaml.safe_dump(value, default_flow_style=flow)).value() == value


def test_numbers_that_are_none_are_read() -> None:
    nan, infinite = parse_yaml("[.nan, -.inf]").value()
    assert math.isnan(nan) and infinite == -math.inf


BENT = (
    "yes",
    "No",
    "on",
    "OFF",
    "010",
    "-07",
    "0x1F",
    "0b1",
    "0b_",
    "1_000",
    "1:30",
    "190:20:30.15",
    "2026-11-28",
    "2026-28-11",
    "2001-12-14t21:59:43.10-05:00",
    "+1_0.5",
    "=",
)


@pytest.mark.parametrize("text", [*BENT, "9" * 41])
def test_a_value_that_readers_take_for_different_things_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="line 2"):
        parse_yaml(f"a: 1\nb: {text}\n").value()
    assert parse_yaml(f"a: 1\nb: '{text}'\n").value() == {"a": 1, "b": text}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2", "line 2: A key twice: got 'a'.*line 1"),
        ("{a: {b: 1, b: 2}}", "A key twice"),
        ("a: !!binary aGk=", "Tag"),
        ("a: !!python/object/apply:os.system [ls]", "Tag"),
        ("a: !mine 1", "Tag"),
        ("a: &x {b: 1}\nc: {<<: *x}", "line 2: Merge key"),
        ("a: *nobody", "Alias"),
        ("a: &x [*x]", "Alias"),
        ("? [1, 2]\n: 3", "Key"),
        ("? {a: 1}\n: 3", "Key"),
        ("a: 1\n---\nb: 2", "second"),
        ("{a", "not YAML: line 2"),
        ("a: 'b\n", "not YAML"),
        ("a: \x00", "not YAML"),
        ('a: "\\uD83D"', "not YAML|Unicode"),
        ("a: \ud83d", "not YAML|Unicode"),
        ("%YAML 9.9\n---\na: 1", "not YAML"),
        ("[" * 100_000, "Depth"),
        ("- " * 50_000, "Depth|not YAML"),
        ("{a: " * 50_000, "Depth"),
        ("a: " + "x" * MOST_BYTES, "Size"),
        ("[" + "1," * 60_000 + "]", "Values"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_not_taken_is_refused_by_line(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        parse_yaml(text).value()


def test_aliases_are_counted_as_what_they_stand_for() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 6)]
    with pytest.raises(ConfigurationError, match="line 5: Values"):
        parse_yaml("\n".join(lines))
    assert parse_yaml("x-q: &q {depth: 5}\na: *q\nb: *q").value()["b"] == {"depth": 5}


def test_the_deepest_that_is_taken_is_read() -> None:
    node = parse_yaml("[" * DEEPEST + "1" + "]" * DEEPEST).value()
    for _ in range(DEEPEST):
        (node,) = node
    assert node == 1


def test_empty_text_is_null() -> None:
    assert parse_yaml("").value() is None
    assert parse_yaml("# nothing\n").value() is None


def test_a_file_is_named_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    for content, says in (
        (b"a: 1\na: 2", r"a\.yaml: line 2"),
        (b"\xff\xfe", r"a\.yaml is not text in UTF-8"),
        (b"x" * (MOST_BYTES + 1), r"a\.yaml: Size"),
    ):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=says):
            read_yaml(path)
    with pytest.raises(ConfigurationError, match="No such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigurationError, match="Size"):
        read_yaml(Path("/dev/zero"))
