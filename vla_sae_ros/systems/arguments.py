"""Arguments of a system: parameters given as texts, by a shell or a launch file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.parameters import Parameter, Value, unknown

_TRUE, _FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")


def values_of(parameters: Sequence[Parameter], given: Mapping[str, object]) -> dict[str, Value]:
    """Return a value for every parameter: the given one, or its default.

    Texts: true/false for bool, commas between the items of a list.

    Raises:
        ConfigurationError: a name that is no parameter, or a value that is refused.
    """
    known = {parameter.name: parameter for parameter in parameters}
    for name in given:
        if name not in known:
            raise ConfigurationError(unknown("unknown argument", name, known))
    return {
        name: _read(parameter, given[name]) if name in given else parameter.default
        for name, parameter in known.items()
    }


def _read(parameter: Parameter, given: object) -> Value:
    value = _as_type_of(parameter.default, given)
    if value is None or not parameter.permits(value):
        separated = ", separated by commas" if isinstance(parameter.default, tuple) else ""
        raise ConfigurationError(
            complaint(f"argument '{parameter.name}'", given, parameter.allowed + separated)
        )
    return value


def _as_type_of(default: Value, given: object) -> Value | None:
    if isinstance(default, bool):
        text = str(given).lower()
        return text in _TRUE if text in _TRUE + _FALSE else None
    if isinstance(default, tuple):
        items = given.split(",") if isinstance(given, str) else given
        return tuple(map(str, filter(None, items))) if isinstance(items, Sequence) else None
    if isinstance(default, str):
        return given if isinstance(given, str) else None
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    if isinstance(default, int):
        return int(given) if re.fullmatch(r"\s*[+-]?\d+\s*", str(given)) else None
    try:
        return float(given)
    except ValueError:
        return None
