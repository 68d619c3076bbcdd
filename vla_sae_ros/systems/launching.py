"""A node's description as the keywords of launch_ros.actions.Node; imports no launch itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vla_sae_ros.core.parameters import Value
from vla_sae_ros.systems.simulation import NodeSpec

RESPAWN_DELAY = 2.0  # [s]
RESPAWNS = 3


def as_text(value: Value) -> str:
    """Return a value as a launch argument's default is written."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def node_keywords(
    spec: NodeSpec, namespace: str, shutdown: Callable[..., object]
) -> dict[str, Any]:
    """Return what launch_ros.actions.Node takes.

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
    if spec.on_exit == "restart":
        keywords |= {
            "respawn": True,
            "respawn_delay": RESPAWN_DELAY,
            "respawn_max_retries": RESPAWNS,
        }
    elif spec.on_exit == "shutdown":
        keywords["on_exit"] = [shutdown(reason=f"{spec.name} has ended")]
    return keywords
