"""Arguments of a system as data: the same table makes command-line options and launch arguments."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vla_sae_ros.core.errors import ConfigurationError, complaint

Value = bool | int | float | str | tuple[str, ...]

_TRUE, _FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")
_LARGEST = 2**63 - 1  # ROS parameters are 64-bit signed


@dataclass(frozen=True)
class Argument:
    """One argument; its type is the type of its default. A tuple is a list of texts.

    Texts are read as that type: true/false for bool, commas between the items of a tuple.
    `minimum` (inclusive) is for numbers, `choices` are for texts.
    """

    name: str
    default: Value
    description: str
    minimum: int | None = None
    choices: tuple[str, ...] = ()

    def value(self, given: object) -> Value:
        """Return `given` as this argument's type.

        Raises:
            ConfigurationError: it is not one of the allowed values.
        """
        value = self._read(given)
        if value is None or not self._permits(value):
            raise ConfigurationError(complaint(f"argument '{self.name}'", given, self.allowed))
        return value

    @property
    def allowed(self) -> str:
        """What is allowed, in words."""
        if self.choices:
            return " or ".join(self.choices)
        if isinstance(self.default, bool):
            return "true or false"
        if isinstance(self.default, int):
            return "an integer" + (f" from {self.minimum}" if self.minimum is not None else "")
        return "texts separated by commas" if isinstance(self.default, tuple) else "a text"

    def _read(self, given: object) -> Value | None:
        if isinstance(self.default, bool):
            return _as_bool(given)
        if isinstance(self.default, int):
            return _as_int(given)
        if isinstance(self.default, tuple):
            items = given.split(",") if isinstance(given, str) else given
            return tuple(map(str, filter(None, items))) if isinstance(items, Sequence) else None
        return given if isinstance(given, str) else None

    def _permits(self, value: Value) -> bool:
        if self.choices and value not in self.choices:
            return False
        if type(value) is int:
            return (self.minimum is None or value >= self.minimum) and abs(value) <= _LARGEST
        return True


def values_of(arguments: Sequence[Argument], given: Mapping[str, object]) -> dict[str, Value]:
    """Return a value for every argument: the given one, or its default.

    Raises:
        ConfigurationError: a name that is no argument, or a value that is refused.
    """
    known = {argument.name: argument for argument in arguments}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"Did you mean '{near[0]}'?" if near else ""
            raise ConfigurationError(complaint("unknown argument", name, ", ".join(known), advice))
    return {
        name: argument.value(given[name]) if name in given else argument.default
        for name, argument in known.items()
    }


def _as_bool(given: object) -> bool | None:
    text = str(given).lower()
    return text in _TRUE if text in _TRUE + _FALSE else None


def _as_int(given: object) -> int | None:
    if isinstance(given, bool) or not isinstance(given, int | str):
        return None
    return int(given) if re.fullmatch(r"\s*[+-]?\d+\s*", str(given)) else None
