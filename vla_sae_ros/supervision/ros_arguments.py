"""A node's description as the command line that every ROS node understands."""

from __future__ import annotations

import json

from vla_sae_ros.core.parameters import Value
from vla_sae_ros.systems.simulation import NodeSpec


def ros_arguments(spec: NodeSpec, namespace: str = "") -> list[str]:
    """Return `--ros-args ...` with the node's name, namespace, remappings and parameters."""
    arguments = ["--ros-args", "-r", f"__node:={spec.name}"]
    if namespace:
        arguments += ["-r", f"__ns:=/{namespace}"]
    for source, target in spec.remappings:
        arguments += ["-r", f"{source}:={target}"]
    for name, value in spec.parameters.items():
        arguments += ["-p", f"{name}:={_yaml(value)}"]
    if spec.params_file:  # of what is said twice, the last counts
        arguments += ["--params-file", spec.params_file]
    return arguments


def _yaml(value: Value) -> str:
    # JSON is YAML, and its quotes keep a text such as "1" or "yes" a text.
    return json.dumps(list(value) if isinstance(value, tuple) else value)
