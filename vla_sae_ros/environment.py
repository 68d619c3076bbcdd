"""The environment variables that ROS, MuJoCo and Hugging Face libraries read, said in one place.

Importing `vla_sae_ros.nodes` and every command of `vla-sae` prepares them, so that a user of the
wheels never has to source anything. A sourced ROS install and variables that are set stay as they
are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError, complaint


def missing_variables(environment: Mapping[str, str], prefix: Path) -> dict[str, str]:
    """Return the variables to add to `environment`, for the ROS wheels unpacked into `prefix`.

    Discovery is limited to this machine only where the wheels are used: on a ROS install the
    user's network settings count.
    """
    wanted = {"MUJOCO_GL": "osmesa", "HF_HUB_OFFLINE": "1"}
    if "AMENT_PREFIX_PATH" not in environment and (prefix / "share" / "ament_index").is_dir():
        wanted["AMENT_PREFIX_PATH"] = str(prefix)
        wanted["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    return {name: value for name, value in wanted.items() if name not in environment}


NETWORK = ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS")
"""Variables that say how far ROS looks for others."""


def keep_to_this_machine() -> str:
    """Let the nodes that are started from here speak on this machine only, unless told otherwise.

    Whoever is heard can steer. Return the discovery range that holds, "" where another variable of
    ROS says it.
    """
    if not any(os.environ.get(name) for name in NETWORK):
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    return os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "")


LARGEST_DOMAIN = 232
"""Of ROS_DOMAIN_ID: ports of a larger one would be above 65535 (RTPS 9.6.1)."""


def check_domain() -> None:
    """Check ROS_DOMAIN_ID before rclpy does, whose complaint is a traceback.

    Raises:
        ConfigurationError: it is no domain.
    """
    given = os.environ.get("ROS_DOMAIN_ID", "")
    if given and not (given.isascii() and given.isdigit() and int(given) <= LARGEST_DOMAIN):
        raise ConfigurationError(
            complaint("ROS_DOMAIN_ID", given, f"a whole number from 0 to {LARGEST_DOMAIN}")
        )


def prepare() -> None:
    """Set what is missing; call it before rclpy, robosuite or transformers are imported."""
    os.environ.update(missing_variables(os.environ, Path(sys.prefix)))
