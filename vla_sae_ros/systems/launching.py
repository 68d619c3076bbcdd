"""A node's description as the keywords of launch_ros.actions.Node; imports no launch itself."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.parameters import Parameter, Value, unknown
from vla_sae_ros.systems.pythons import VARIABLE
from vla_sae_ros.systems.simulation import NodeSpec, System

RESPAWN_DELAY = 2.0  # [s]
RESPAWNS = 3


def as_text(value: Value) -> str:
    """Return a value as a launch argument's default is written."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def launch_nodes(
    describe: Callable[[Mapping[str, object]], System],
    arguments: Sequence[Parameter],
    configurations: Mapping[str, str],
    shutdown: Callable[..., object],
    file: str,
) -> list[dict[str, Any]]:
    """Return the keywords of every node of a system, see `node_keywords`.

    Args:
        describe: Returns the system for its arguments.
        configurations: The launch configurations; those of other launch files may be among them.
        file: The launch file. Where the process was started with this very one, every name:=value
            of its command line is for it; launch itself ignores names that nobody declares.

    Raises:
        ConfigurationError: an argument is refused.
    """
    if _starts(sys.argv, Path(file)):
        known = [argument.name for argument in arguments]
        for word in sys.argv:
            name, assigned, _ = word.partition(":=")
            if assigned and name not in known:
                raise ConfigurationError(unknown("argument", name, known))
    system = describe({argument.name: configurations[argument.name] for argument in arguments})
    return [node_keywords(spec, system.namespace, shutdown) for spec in system.nodes]


def _starts(command: Sequence[str], file: Path) -> bool:
    """Say whether a command line is `ros2 launch vla_sae_ros FILE`, or has the file's path."""
    named = ("vla_sae_ros", file.name) in pairwise(command)
    return named or any(
        word.endswith(file.name) and Path(word).exists() and file.samefile(word) for word in command
    )


def node_keywords(
    spec: NodeSpec, namespace: str, shutdown: Callable[..., object]
) -> dict[str, Any]:
    """Return what launch_ros.actions.Node takes.

    A node that needs the environment finds it by itself (systems/pythons.py). The others are
    started by the Python that runs launch, which is ROS's own also while an environment is active.

    Args:
        shutdown: launch.actions.Shutdown. A node that may be restarted is respawned by launch,
            which knows no status that forbids it: hence the limit.
    """
    keywords: dict[str, Any] = {
        "package": "vla_sae_ros",
        "executable": spec.executable,
        "name": spec.name,
        "namespace": namespace,
        "parameters": [
            {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in spec.parameters.items()
            },
            *([spec.params_file] if spec.params_file else []),
        ],
        "remappings": list(spec.remappings),
        "output": "screen",
    }
    if not spec.environment:
        keywords["prefix"] = shlex.quote(sys.executable)
    elif spec.python:
        keywords["additional_env"] = {VARIABLE: spec.python}
    if spec.on_exit == "restart":
        keywords |= {
            "respawn": True,
            "respawn_delay": RESPAWN_DELAY,
            "respawn_max_retries": RESPAWNS,
        }
    elif spec.on_exit == "shutdown":
        keywords["on_exit"] = [shutdown(reason=f"{spec.name} has ended")]
    return keywords
