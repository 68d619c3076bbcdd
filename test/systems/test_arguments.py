from __future__ import annotations

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.systems.arguments import Argument, values_of

TABLE = (
    Argument("suite", "libero_object", "a text"),
    Argument("task", 0, "a number", minimum=0),
    Argument("record", False, "a switch"),
    Argument("bundles", (), "a list"),
    Argument("clock", "lockstep", "a choice", choices=("lockstep", "realtime")),
)


def test_what_is_not_given_has_its_default() -> None:
    assert values_of(TABLE, {}) == {argument.name: argument.default for argument in TABLE}


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("task", "3", 3),
        ("task", 3, 3),
        ("record", "True", True),
        ("record", "off", False),
        ("record", True, True),
        ("bundles", "a,b", ("a", "b")),
        ("bundles", "", ()),
        ("bundles", ["a"], ("a",)),
        ("clock", "realtime", "realtime"),
    ],
)
def test_texts_are_read_as_the_type_of_the_default(name: str, given: object, value: object) -> None:
    assert values_of(TABLE, {name: given})[name] == value


@pytest.mark.parametrize(
    ("name", "given", "allowed"),
    [
        ("task", "-1", "an integer from 0"),
        ("task", "1.5", "an integer from 0"),
        ("task", "nan", "an integer from 0"),
        ("task", True, "an integer from 0"),
        ("task", str(2**63), "an integer from 0"),
        ("record", "perhaps", "true or false"),
        ("clock", "sundial", "lockstep or realtime"),
        ("suite", 5, "a text"),
        ("bundles", 5, "texts separated by commas"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(
    name: str, given: object, allowed: str
) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        values_of(TABLE, {name: given})
    assert f"'{name}'" in str(refusal.value)
    assert repr(given) in str(refusal.value)
    assert allowed in str(refusal.value)


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'task'"):
        values_of(TABLE, {"taks": 1})
