from __future__ import annotations

import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.parameters import Parameter
from vla_sae_ros.systems.arguments import values_of

TABLE = (
    Parameter("suite", "libero_object", "a text"),
    Parameter("task", 0, "a number", minimum=0),
    Parameter("record", False, "a switch"),
    Parameter("bundles", (), "a list"),
    Parameter("scale", 1.0, "a factor", minimum=0.05, maximum=1.0),
    Parameter("clock", "lockstep", "a choice", choices=("lockstep", "realtime")),
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
        ("scale", "0.5", 0.5),
        ("scale", "1", 1.0),
        ("scale", 0.25, 0.25),
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
        ("scale", "fast", "a number from 0.05 to 1"),
        ("scale", "2", "a number from 0.05 to 1"),
        ("scale", "nan", "a number from 0.05 to 1"),
        ("scale", True, "a number from 0.05 to 1"),
        ("clock", "sundial", "one of 'lockstep', 'realtime'"),
        ("suite", 5, "a text"),
        ("bundles", 5, "a list of texts, separated by commas"),
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
