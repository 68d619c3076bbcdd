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


def prepare() -> None:
    """Set what is missing; call it before rclpy, robosuite or transformers are imported."""
    os.environ.update(missing_variables(os.environ, Path(sys.prefix)))
