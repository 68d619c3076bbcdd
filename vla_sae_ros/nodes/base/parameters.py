"""A dataclass of parameters declared on a node: filled, checked, and told about changes."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.parameters import Parameter, parameters_of, unknown

# Overrides that rclpy itself or a launch file gives to every node.
FOREIGN_NAMES = ("use_sim_time", "start_type_description_service", "qos_overrides.")
NEAR = 0.8
"""Likeness (difflib) from which on an unknown name is taken for a misspelled one."""
ALIKE = frozenset({"site", "suite", "step_timeout"})
"""Parameters that are like one of another node of this package, and are no misspelling of it."""
DECIMAL_POINT = "Write it with a decimal point."


def declare_parameters[Values](
    node: Node, kind: type[Values], on_change: Callable[[Values], None] | None = None
) -> Values:
    """Declare every field of the dataclass `kind` on the node; return it with the values given.

    A given parameter that is nearly one of the node's is reported with that name. Later changes
    of a live parameter are checked in the same way and then told to `on_change`.

    Raises:
        ConfigurationError: naming everything that is wrong at once.
    """
    parameters = parameters_of(kind)
    objections = [text for parameter in parameters if (text := _declare(node, parameter))]
    objections += _unknown(node, [parameter.name for parameter in parameters])
    if objections:
        raise ConfigurationError(f"Node '{node.get_name()}' cannot start. " + " ".join(objections))
    _check_changes(node, parameters)
    names = [parameter.name for parameter in parameters]
    if on_change is not None:
        node.add_post_set_parameters_callback(lambda _: on_change(_values(node, kind, names)))
    return _values(node, kind, names)


def _values[Values](node: Node, kind: type[Values], names: Sequence[str]) -> Values:
    return kind(**{name: _plain(node.get_parameter(name).value) for name in names})


def _plain(value: object) -> object:
    """Return rclpy's value as ours; a list of texts comes without empty ones."""
    return tuple(filter(None, value)) if isinstance(value, list) else value


def _declare(node: Node, parameter: Parameter) -> str:
    """Declare one parameter; return why its value is refused, or an empty text."""
    default = parameter.default
    # An empty list has no type in rclpy: one empty text stands for it.
    plain = (list(default) or [""]) if isinstance(default, tuple) else default
    try:
        given = node.declare_parameter(parameter.name, plain, _descriptor(parameter)).value
    except (InvalidParameterTypeException, InvalidParameterValueException):
        given = _override(node, parameter.name)
        whole = isinstance(default, float) and type(given) is int
        return parameter.objection(_plain(given), DECIMAL_POINT if whole else "")
    return parameter.objection(_plain(given))


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
    """Return what is wrong with names that the node does not have.

    What is said for a group of nodes (`/**` in a file, SetParameter in a launch file) reaches all
    of them, so a name that is like none of this node's own is somebody else's.
    """
    objections = []
    for name in _overrides(node):
        if name in names or name.startswith(FOREIGN_NAMES):
            continue
        if name not in ALIKE and difflib.get_close_matches(name, names, n=1, cutoff=NEAR):
            objections.append(unknown("Unknown parameter", name, sorted(names)))
        else:
            node.get_logger().info(
                f"parameter '{name}' is not a parameter of this node; it is ignored"
            )
    return objections


def _check_changes(node: Node, parameters: Sequence[Parameter]) -> None:
    known = {parameter.name: parameter for parameter in parameters}

    def check(changes: list[RosParameter]) -> SetParametersResult:
        reasons = [
            known[change.name].objection(_plain(change.value))
            for change in changes
            if change.name in known
        ]
        reason = " ".join(filter(None, reasons))
        return SetParametersResult(successful=not reason, reason=reason)

    node.add_on_set_parameters_callback(check)
