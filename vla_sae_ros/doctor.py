"""`vla-sae doctor`: what is missing on this machine, and the command that mends it.

Nothing heavy is imported here: graphics and DDS are tried in processes of their own, so that a
library that aborts is a finding and not the end of the doctor.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.machine_checks import (
    DRAW_A_PICTURE,
    Finding,
    check_dds_settings,
    check_egl,
    check_gpu,
    check_lock,
    check_realtime,
    trial,
)
from vla_sae_ros.resources import made_environment, resource, share_folder

SETUP = "make setup"
FREE_DISK_GB = 5
REFERENCE_MUJOCO = "3.3.0"
"""From 3.3.3 on LIBERO's floors are drawn darker and some bowls come to rest elsewhere."""
TALK_OVER_DDS = """
import rclpy, time
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import Empty
rclpy.init()
node = rclpy.create_node("vla_sae_doctor")
heard = rclpy.task.Future()
node.create_subscription(Empty, "~/echo", lambda _: heard.set_result(None), 1)
other = rclpy.create_node("vla_sae_doctor_speaker")
speaker = other.create_publisher(Empty, "/vla_sae_doctor/echo", 1)
other.create_timer(0.05, lambda: speaker.publish(Empty()))
executor = SingleThreadedExecutor()
executor.add_node(node)
executor.add_node(other)
executor.spin_until_future_complete(heard, timeout_sec=15)
assert heard.done(), "no message came back within 15 s"
"""


def check_python() -> Finding:
    """Python 3.12, the one that Jazzy's messages are built for."""
    version = platform.python_version()
    if version.startswith("3.12."):
        return Finding(version)
    return Finding(version, "make setup PYTHON=/path/to/python3.12")


def check_environment() -> Finding:
    """Which of the ways to install this is: docs/install.md and docs/ros.md."""
    if (Path(sys.prefix) / "share" / "ament_index").is_dir():
        return Finding(f"{sys.prefix}: ROS from wheels (make setup)")
    ros = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)[-1]
    if not ros:
        return Finding("no ROS: neither wheels nor a sourced installation", SETUP)
    made = made_environment()
    if made and Path(sys.prefix) == made:
        return Finding(f"{made}: made by make ros, beside the ROS installation in {ros}")
    kind = "a virtual environment" if sys.prefix != sys.base_prefix else "ROS's own Python"
    text = f"{sys.prefix}: {kind}, beside the ROS installation in {ros}"
    return Finding(text, "" if made or kind != "ROS's own Python" else "make ros")


def check_rclpy() -> Finding:
    """Of the wheels, or of a ROS install."""
    spec = importlib.util.find_spec("rclpy")
    if spec is None or spec.origin is None:
        return Finding("rclpy cannot be imported", f"{SETUP}, or source a ROS install's setup.bash")
    return Finding(str(Path(spec.origin).parent))


def check_messages(prefix: Path = Path(sys.prefix)) -> Finding:
    """The generated messages can be imported and come from the definitions of this checkout."""
    mend = SETUP if (share_folder() / "Makefile").is_file() else "colcon build"
    if importlib.util.find_spec("vla_sae_ros.msg") is None:
        return Finding("vla_sae_ros.msg has not been built", mend)
    stale = stale_interfaces(share_folder(), prefix / "share" / "vla_sae_ros")
    if stale:
        return Finding(f"built from older definitions: {', '.join(stale)}", mend)
    return Finding("built and current")


def stale_interfaces(source: Path, installed: Path) -> list[str]:
    """Return the definitions that differ between a checkout and an installed share folder."""
    if source == installed or not installed.is_dir():
        return []
    definitions = [
        *source.glob("msg/*.msg"),
        *source.glob("srv/*.srv"),
        *source.glob("action/*.action"),
    ]
    return sorted(
        path.name
        for path in definitions
        if not (other := installed / path.relative_to(source)).is_file()
        or other.read_bytes() != path.read_bytes()
    )


def check_dds() -> Finding:
    """A message from one node to another on this machine."""
    return trial(
        TALK_OVER_DDS,
        "two nodes hear each other",
        "allow UDP on the loopback interface (ip link set lo up), "
        "or try FASTDDS_BUILTIN_TRANSPORTS=UDPv4",
    )


def check_graphics() -> Finding:
    """An off-screen picture with the backend that MUJOCO_GL names."""
    backend = os.environ.get("MUJOCO_GL", "osmesa")
    other = "MUJOCO_GL=osmesa" if backend != "osmesa" else "apt-get install libosmesa6"
    return trial(DRAW_A_PICTURE, f"MUJOCO_GL={backend} draws", other)


def check_libero() -> Finding:
    """LIBERO and its assets."""
    spec = importlib.util.find_spec("libero")
    if spec is None or spec.origin is None:
        return Finding("LIBERO is not installed", SETUP)
    root = Path(spec.origin).parent / "libero"
    folders = ("assets", "bddl_files", "init_files")
    empty = [name for name in folders if not any(root.glob(f"{name}/*"))]
    if empty:
        return Finding(f"{', '.join(empty)} missing in {root}", SETUP)
    return Finding(str(root))


def check_mujoco() -> Finding:
    """The version that draws and settles LIBERO as the public data has it."""
    found = _distributions("mujoco")
    if found.mend or found.detail == f"mujoco {REFERENCE_MUJOCO}":
        return found
    return Finding(
        f"{found.detail} is installed; pictures and settled objects of LIBERO are those of the "
        f"public data with {REFERENCE_MUJOCO} only",
        f"{SETUP} (or: pip install mujoco=={REFERENCE_MUJOCO})",
        optional=True,
    )


def check_lerobot() -> Finding:
    """The library that policies come from."""
    return _distributions("lerobot", "torch", "transformers")


def check_panel() -> Finding:
    """What the panel imports."""
    found = _distributions("PyQt5")
    return Finding(found.detail, found.mend, optional=True)


def check_libraries() -> Finding:
    """Libraries of the operating system that the wheels load."""
    missing = missing_libraries(resource("config", "system_libraries.txt").read_text())
    if not missing:
        return Finding("all there")
    purposes = sorted(set(missing.values()))
    # Without a screen nobody misses what only a window needs.
    optional = all("window" in purpose or "GPU" in purpose for purpose in purposes)
    mend = f"sudo apt-get install {' '.join(missing)}"
    return Finding(f"needed for {', '.join(purposes)}", mend, optional)


def missing_libraries(table: str) -> dict[str, str]:
    """Return package -> purpose for every library of the table that cannot be loaded."""
    missing = {}
    for line in table.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        library, package, purpose = line.split(maxsplit=2)
        try:
            ctypes.CDLL(library)
        except OSError:
            missing[package] = purpose
    return missing


def check_disk(folder: Path | None = None) -> Finding:
    """Room for bags, videos and logs."""
    place = folder or Path.cwd()
    free = shutil.disk_usage(place).free / 1e9
    text = f"{free:.0f} GB free in {place}"
    if free >= FREE_DISK_GB:
        return Finding(text)
    return Finding(text, f"free {FREE_DISK_GB} GB: make clean, or another folder")


def check_models() -> Finding:
    """The demonstration policy and its autoencoders."""
    try:
        policy = resource("models", "demo", "policy", "config.json").parent
    except ConfigurationError as error:
        return Finding(str(error), "git checkout -- models, or clone again")
    bundles = sorted(path.parent.name for path in (policy.parent / "sae").glob("*/bundle.yaml"))
    if not bundles:
        return Finding(f"no SAE bundle beside {policy}", "git checkout -- models, or clone again")
    return Finding(f"{policy.parent}, SAE of {', '.join(bundles)}")


CHECKS: dict[str, Callable[[], Finding]] = {
    "Python 3.12": check_python,
    "environment": check_environment,
    "rclpy": check_rclpy,
    "messages": check_messages,
    "versions": check_lock,
    "DDS": check_dds,
    "DDS settings": check_dds_settings,
    "system libraries": check_libraries,
    "graphics": check_graphics,
    "GPU": check_gpu,
    "EGL": check_egl,
    "LIBERO": check_libero,
    "MuJoCo": check_mujoco,
    "lerobot": check_lerobot,
    "panel": check_panel,
    "real time": check_realtime,
    "disk": check_disk,
    "demo models": check_models,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There is nothing to choose."""
    del parser


def run(args: argparse.Namespace) -> int:
    """Print one line per check; return 1 when something that is needed is missing."""
    del args
    failed = False
    for name, check in CHECKS.items():
        finding = check()
        print(f"{finding.word:<9}{name:<18}{finding.detail}", flush=True)
        if finding.mend:
            print(f"{'':<27}to repair: {finding.mend}", flush=True)
        failed |= finding.word == "missing"
    return 1 if failed else 0


def _distributions(*names: str) -> Finding:
    found = {name: _version(name) for name in names}
    missing = [name for name, version in found.items() if not version]
    if missing:
        return Finding(f"{', '.join(missing)} not installed", SETUP)
    return Finding(", ".join(f"{name} {version}" for name, version in found.items()))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
