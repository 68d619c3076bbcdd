"""Node parameters as data: type, unit, range and description said once, wrong values refused."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from vla_sae_ros.core.errors import ConfigurationError, complaint

Value = bool | int | float | str | tuple[str, ...]

# Overrides that rclpy itself or a launch file gives to every node.
FOREIGN_NAMES = ("use_sim_time", "start_type_description_service", "qos_overrides.")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a node; its type is the type of its default.

    minimum and maximum are inclusive and for numbers only; choices are for strings only. A tuple
    default is a list of strings. A parameter that is not `live` cannot change while the node runs.
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
    def kind(self) -> str:
        """Return the type in the words of a parameter file."""
        words = {
            bool: "true or false",
            int: "an integer",
            float: "a number with a decimal point",
            str: "a text",
            tuple: "a list of texts",
        }
        return words[type(self.default)]

    @property
    def allowed(self) -> str:
        """Return what is allowed, in words."""
        if self.choices:
            return "one of " + ", ".join(repr(choice) for choice in self.choices)
        bounds = [
            f"from {self.minimum:g}" if self.minimum is not None else "",
            f"to {self.maximum:g}" if self.maximum is not None else "",
        ]
        return " ".join([self.kind, *filter(None, bounds), *filter(None, [self.unit])])

    def objection(self, value: object) -> str:
        """Return why the value is refused, or an empty text."""
        if self.choices and value not in self.choices:
            return complaint(f"Parameter '{self.name}'", value, self.allowed)
        if isinstance(self.default, float) and isinstance(value, float) and self._outside(value):
            return complaint(f"Parameter '{self.name}'", value, self.allowed)
        if type(self.default) is int and isinstance(value, int) and self._outside(value):
            return complaint(f"Parameter '{self.name}'", value, self.allowed)
        return ""

    def _outside(self, value: float) -> bool:
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        return not (math.isfinite(value) and low <= value <= high)


def declare_parameters(node: Node, parameters: Sequence[Parameter]) -> dict[str, Value]:
    """Declare every parameter on the node and return the values, by name.

    Raises ConfigurationError naming everything that is wrong at once. A given parameter
    that the node does not have is reported with the nearest name. Later changes of a live
    parameter are checked in the same way; read the new value with node.get_parameter.
    """
    objections = [text for parameter in parameters if (text := _declare(node, parameter))]
    objections += _unknown(node, [parameter.name for parameter in parameters])
    if objections:
        raise ConfigurationError(f"Node '{node.get_name()}' cannot start. " + " ".join(objections))
    _check_changes(node, parameters)
    return {parameter.name: value_of(node, parameter.name) for parameter in parameters}


def value_of(node: Node, name: str) -> Value:
    """Return a declared parameter's present value; a list of texts comes without empty ones."""
    value = node.get_parameter(name).value
    return tuple(filter(None, value)) if isinstance(value, list) else value


def _declare(node: Node, parameter: Parameter) -> str:
    """Declare one parameter; return why its value is refused, or an empty text."""
    default = parameter.default
    # An empty list has no type in rclpy: one empty text stands for it.
    plain = (list(default) or [""]) if isinstance(default, tuple) else default
    try:
        given = node.declare_parameter(parameter.name, plain, _descriptor(parameter)).value
    except InvalidParameterTypeException:
        given = _override(node, parameter.name)
        advice = "Write it with a decimal point." if isinstance(given, int) else ""
        return complaint(f"Parameter '{parameter.name}'", given, parameter.allowed, advice)
    except InvalidParameterValueException:
        return complaint(
            f"Parameter '{parameter.name}'", _override(node, parameter.name), parameter.allowed
        )
    return parameter.objection(given)


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    descriptor = ParameterDescriptor(
        description=parameter.description + unit, read_only=not parameter.live
    )
    if parameter.choices:
        descriptor.additional_constraints = parameter.allowed
    if parameter.minimum is None and parameter.maximum is None:
        return descriptor
    if isinstance(parameter.default, float):
        low = -math.inf if parameter.minimum is None else float(parameter.minimum)
        high = math.inf if parameter.maximum is None else float(parameter.maximum)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    else:
        low = -(2**63) if parameter.minimum is None else int(parameter.minimum)
        high = 2**63 - 1 if parameter.maximum is None else int(parameter.maximum)
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
    return descriptor


def _overrides(node: Node) -> dict[str, RosParameter]:
    # rclpy keeps what the command line and parameter files gave only here; without it a misspelled
    # name would be ignored in silence.
    return node._parameter_overrides


def _override(node: Node, name: str) -> object:
    override = _overrides(node).get(name)
    return None if override is None else override.value


def _unknown(node: Node, names: list[str]) -> list[str]:
    objections = []
    for name in _overrides(node):
        if name in names or name.startswith(FOREIGN_NAMES):
            continue
        near = difflib.get_close_matches(name, names, n=1)
        advice = f"Did you mean '{near[0]}'?" if near else ""
        objections.append(complaint("Unknown parameter", name, ", ".join(sorted(names)), advice))
    return objections


def _check_changes(node: Node, parameters: Sequence[Parameter]) -> None:
    known = {parameter.name: parameter for parameter in parameters}

    def check(changes: list[RosParameter]) -> SetParametersResult:
        reasons = [
            known[change.name].objection(change.value) for change in changes if change.name in known
        ]
        reason = " ".join(filter(None, reasons))
        return SetParametersResult(successful=not reason, reason=reason)

    node.add_on_set_parameters_callback(check)
