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
from vla_sae_ros.resources import made_environment

VARIABLES = {
    "VLA_SAE_POLICY_PYTHON": "Python for nodes that import PyTorch, lerobot or LIBERO, where ROS "
    "was installed by apt",
    "MUJOCO_GL": "what draws the simulation: osmesa (the default), egl on a GPU, glx on a display",
    "PYOPENGL_PLATFORM": "as MUJOCO_GL; set from it where it is missing",
    "HF_HUB_OFFLINE": "1 (the default): nothing is downloaded from Hugging Face; 0 allows it",
    "AMENT_PREFIX_PATH": "prefixes of ROS packages; set by setup.bash, or here for the wheels",
    "ROS_DOMAIN_ID": "0 to 232; only nodes of one domain hear each other",
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST (the default of the wheels, `vla-sae up` and "
    "`demo`), SUBNET, OFF",
    "ROS_LOCALHOST_ONLY": "older form of the same",
    "ROS_STATIC_PEERS": "addresses of other computers to find",
    "RMW_IMPLEMENTATION": "the middleware, on a ROS installation",
    "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4 where /dev/shm is small",
    "VLA_SAE_VISION_KEY": "key of the vision model that `vla-sae label --describe` asks",
    "VIRTUAL_ENV": "the active virtual environment",
    "XDG_DATA_HOME": "where labels and notes from the panel are kept, in vla_sae_ros/; default "
    "~/.local/share",
    "XDG_CACHE_HOME": "where compiled graphs are kept; default ~/.cache",
    "DISPLAY": "with it or WAYLAND_DISPLAY, `vla-sae demo` opens the panel",
    "WAYLAND_DISPLAY": "see DISPLAY",
    "QT_SCALE_FACTOR": "set by `vla-sae panel --scale`",
    "WORLD_SIZE": "set by torchrun: processes that share a training",
    "LOCAL_RANK": "set by torchrun: which GPU is this process's",
}
"""Every environment variable that the package reads or sets, and its meaning."""


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


MIDDLEWARES = Path("share", "ament_index", "resource_index", "rmw_typesupport")
"""Folder in a prefix of ROS packages: an entry for every middleware that is installed there."""


def check_middleware() -> None:
    """Check RMW_IMPLEMENTATION before rclpy is imported, which would end the process.

    Raises:
        ConfigurationError: it names a middleware that is not installed.
    """
    given = os.environ.get("RMW_IMPLEMENTATION", "")
    prefixes = filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))
    entries = {entry.name for prefix in prefixes for entry in Path(prefix, MIDDLEWARES).glob("*")}
    installed = sorted(entries - {"rmw_implementation"})  # loads one of the others
    if given and installed and given not in installed:
        raise ConfigurationError(
            complaint(
                "RMW_IMPLEMENTATION",
                given,
                ", ".join(installed),
                "Install that middleware, or unset the variable.",
            )
        )


def prepare_ros() -> None:
    """Prepare the environment of what imports rclpy.

    Raises:
        ConfigurationError: see `check_middleware`.
    """
    prepare()
    check_middleware()


ROS_PYTHON_PACKAGES = "ros-python"
"""Folder in the environment of `make ros`: what ROS's own Python needs beside apt's packages."""


def prepare() -> None:
    """Set what is missing; call it before rclpy, robosuite or transformers are imported.

    In ROS's own Python, what `make ros` installed for it can be imported from then on; apt's
    packages come first.
    """
    os.environ.update(missing_variables(os.environ, Path(sys.prefix)))
    made = made_environment() if sys.prefix == sys.base_prefix else None
    if made and (folder := str(made / ROS_PYTHON_PACKAGES)) not in sys.path:
        sys.path.append(folder)
