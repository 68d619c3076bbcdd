"""A namespace is what ROS takes for one, however a person writes it."""

from __future__ import annotations

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.namespace import checked_namespace


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("", ""),
        ("/", ""),
        ("left", "left"),
        ("/left", "left"),
        ("lab/left/", "lab/left"),
        ("_a/b_2", "_a/b_2"),
    ],
)
def test_a_namespace_is_taken_with_and_without_its_slashes(given: str, name: str) -> None:
    assert checked_namespace(given) == name


@pytest.mark.parametrize(
    "given",
    [
        "two words",
        "1st",
        "a//b",
        "//a",
        "a/1",
        "~/a",
        "{ns}",
        "grün",
        "left\n",
        "a-b",
        "\ud800",
        "٣",
    ],
)
def test_what_is_none_is_refused_with_what_is_allowed(given: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^argument 'ns': got .*letters.*/left"):
        checked_namespace(given, "argument 'ns'")
