"""Parameters as data: type, unit, range and description said once, wrong values refused.

The same class describes a parameter of a node and an argument of a system.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable
from typing import Any, cast

from vla_sae_ros.core.errors import complaint

Value = bool | int | float | str | tuple[str, ...]

MAP_HELP = (
    "the policy's names of observations, if they differ, e.g. "
    "agentview=observation.images.image,wrist=observation.images.image2"
)
"""Of the parameter `map`, which nodes, systems and commands have."""

_LARGEST = 2**63 - 1  # ROS parameters are 64-bit signed
_KINDS = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
    tuple: "a list of texts",
}


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter; its type is the type of its default. A tuple is a list of texts.

    minimum and maximum are inclusive and for numbers only; choices are for texts only. A parameter
    that is not `live` cannot change while its node runs.
    """

    name: str
    default: Value
    description: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False

    @property
    def allowed(self) -> str:
        """What is allowed, in words."""
        if self.choices:
            return "one of " + ", ".join(repr(choice) for choice in self.choices)
        bounds = [
            f"from {self.minimum:g}" if self.minimum is not None else "",
            f"to {self.maximum:g}" if self.maximum is not None else "",
        ]
        kind = _KINDS[type(self.default)]
        return " ".join([kind, *filter(None, bounds), *filter(None, [self.unit])])

    def permits(self, value: object) -> bool:
        """Return whether the value has the parameter's type and is in its range."""
        if type(value) is not type(self.default):
            return False
        if self.choices and value not in self.choices:
            return False
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        finite = math.isfinite(value) if isinstance(value, float) else abs(value) <= _LARGEST
        return finite and low <= value <= high

    def objection(self, value: object, advice: str = "") -> str:
        """Return why the value is refused, or an empty text."""
        if self.permits(value):
            return ""
        return complaint(f"Parameter '{self.name}'", value, self.allowed, advice)


def parameter[Default](
    default: Default,
    description: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> Default:
    """Return a field of a frozen dataclass that is a set of parameters, see `Parameter`."""
    field: Any = dataclasses.field(
        default=default,
        metadata={"about": (default, description, unit, minimum, maximum, choices, live)},
    )
    return cast(Default, field)  # as dataclasses.field types itself


def parameters_of(kind: type) -> tuple[Parameter, ...]:
    """Return the parameters that are the fields of a dataclass, in their order."""
    return tuple(
        Parameter(field.name, *field.metadata["about"]) for field in dataclasses.fields(kind)
    )


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return the complaint about a name that is none of the known ones, with the nearest."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    advice = f"Did you mean '{near[0]}'?" if near else ""
    return complaint(what, name, ", ".join(names), advice)
