"""A Ray cluster: joining it, and what machines it has."""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass
from typing import Any

from vla_sae_ros.core.errors import ConfigurationError, complaint

try:
    import ray
    from ray.exceptions import RayActorError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise ConfigurationError(
        "Ray is not installed. Install the extra: pip install vla_sae_ros[ray], or run without "
        "--ray on this machine's cores."
    ) from error

__all__ = ["Machine", "RayActorError", "RayTaskError", "join_cluster", "machines", "ray"]
"""Ray's own names, too: from here a missing Ray is named with its remedy."""

_DOOR = 10.0
"""[s] that the head of a cluster has to accept a connection. Ray itself asks for many minutes."""
_HANDED_ON = ("MUJOCO_GL", "HF_HUB_OFFLINE", "PYTHONPATH")


@dataclass(frozen=True)
class Machine:
    """A node of the cluster."""

    node_id: str
    cpus: int

    @property
    def strategy(self) -> Any:
        """Return what places an actor on it, or elsewhere when it is gone."""
        return NodeAffinitySchedulingStrategy(self.node_id, soft=True)


def join_cluster(address: str) -> None:
    """Join a cluster; leave it with `ray.shutdown`.

    Args:
        address: "auto" for the cluster this machine belongs to, or "host:port".

    Raises:
        ConfigurationError: no cluster there.
    """
    try:
        _knock(address)
        _join(address)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            complaint(
                "no Ray cluster",
                address,
                '"auto" with a running one, or its "host:port"',
                "Start one: ray start --head, and ray start --address=HOST:6379 elsewhere.",
            )
        ) from error


def _knock(address: str) -> None:
    """Raise an OSError or a ValueError unless somebody listens there."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), _DOOR).close()


def _join(address: str) -> None:
    environment = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    ray.init(
        address,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": environment | {"OMP_NUM_THREADS": "1"}},
    )


def machines() -> list[Machine]:
    """Return the machines of the cluster that are there and have a CPU."""
    return [
        Machine(node["NodeID"], int(node["Resources"]["CPU"]))
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU", 0) >= 1
    ]
