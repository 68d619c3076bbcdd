"""Imports point downwards only, and heavy or foreign libraries stay in their rooms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vla_sae_ros"
ROOT = "vla_sae_ros"
MESSAGES = {"msg", "srv", "action"}
SYSTEM_MODULES = {"system", "robot_system", "systems", "arguments"}

ROOMS = {
    "core": set(),
    "sae": {"core"},
    "sim": {"core"},
    "robot": {"core"},
    "policy": {"core", "sae", "sim", "robot"},
    "study": {"core", "sae", "sim", "robot", "policy"},
    "nodes": {"core", "sae", "sim", "robot", "policy", "study", *MESSAGES},
    "panel": {"core", *MESSAGES},
    "supervision": {"core", *SYSTEM_MODULES},
    "live": {"core", "sae", "sim", "policy", "study", "nodes", "supervision", *SYSTEM_MODULES,
             *MESSAGES},
}  # fmt: skip
"""Rooms that a room may import from, besides itself."""

SHARED_MODULES = {"resources", "environment", "commands"}
"""Modules at the top that every room but core may use."""

PANEL_MAY_USE = {"nodes.action_client", "nodes.qos", "nodes.steering_messages", "nodes.conversions"}
"""Modules of nodes that say the wire contract once, for the panel too; they import no torch."""

ROS = {"rclpy", "std_msgs", "sensor_msgs", "geometry_msgs", "visualization_msgs",
       "diagnostic_msgs", "std_srvs",
       "lifecycle_msgs", "action_msgs", "rcl_interfaces", "builtin_interfaces"}  # fmt: skip
QT = {"PyQt5", "pyqtgraph", "qtpy", "PyQt6", "PySide6"}
TORCH = {"torch", "torchvision", "transformers", "lerobot", "safetensors"}
SIMULATOR = {"mujoco", "robosuite", "libero"}
ROS_INSTALL_ONLY = {
    "launch", "launch_ros", "ros2cli", "rosbag2_py", "tf2_ros", "diagnostic_updater", "cv_bridge",
    "rosidl_runtime_py", "message_filters", "rqt_gui_py", "rqt_py_common", "python_qt_binding",
    "composition_interfaces",
}  # fmt: skip

FORBIDDEN = {
    "core": ROS | QT | TORCH | SIMULATOR,
    "sae": ROS | QT | SIMULATOR,
    "sim": ROS | QT,
    "robot": ROS | QT | TORCH,
    "policy": ROS | QT | SIMULATOR,
    "study": ROS | QT,
    "nodes": QT,
    "panel": TORCH | SIMULATOR,
    "supervision": ROS | QT | TORCH | SIMULATOR,
    "live": QT,
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of everything a module imports, wherever in the module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(path: Path) -> Iterator[list[str]]:
    """Yield imports from this package as lists of name parts below the package."""
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == ROOT and len(parts) > 1:
            yield parts[1:]


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def allowed_in(path: Path) -> set[str]:
    room = room_of(path)
    allowed = ROOMS[room] | {room}
    if room != "core":
        allowed |= SHARED_MODULES
    return allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_from_lower_rooms_only(path: Path) -> None:
    room = room_of(path)
    if not room:
        return
    assert room in ROOMS, f"a new room: say in {__file__} what it may import"
    exceptions = PANEL_MAY_USE if room == "panel" else set()
    for parts in own_imports(path):
        fine = parts[0] in allowed_in(path) or ".".join(parts[:2]) in exceptions
        assert fine, f"{path.name} imports {'.'.join(parts)}: not below {room}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_leaves_foreign_libraries_to_their_rooms(path: Path) -> None:
    names = {name.split(".")[0] for name in imported(path)}
    room = room_of(path)
    assert not names & FORBIDDEN.get(room, set())
    if not path.name.startswith("rqt_"):
        assert not names & ROS_INSTALL_ONLY, "for launch/ and the rqt plugin only"


def test_the_command_line_and_the_system_import_nothing_heavy() -> None:
    heavy = ROS | QT | TORCH | SIMULATOR | {"numpy"}
    for name in ("cli", "system", "robot_system", "systems", "arguments", "doctor", "launching",
                 "resources", "environment", "commands"):
        names = {name.split(".")[0] for name in imported(PACKAGE / f"{name}.py")}
        assert not names & heavy, name


def test_what_the_panel_uses_of_nodes_imports_no_torch() -> None:
    seen: set[Path] = set()
    waiting = [PACKAGE / f"{name.replace('.', '/')}.py" for name in PANEL_MAY_USE]
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        names = {name.split(".")[0] for name in imported(path)}
        assert not names & (TORCH | SIMULATOR), path
        waiting += [PACKAGE.joinpath(*parts[:2]).with_suffix(".py") for parts in own_imports(path)]
    assert seen, "the list names modules that exist"


def test_what_serves_exported_policies_imports_no_torch() -> None:
    """Importing it all in a process without PyTorch is test/policy/onnx/test_without_torch.py."""
    for path in (PACKAGE / "policy" / "onnx").glob("*.py"):
        assert not {name.split(".")[0] for name in imported(path)} & TORCH, path


def test_every_room_is_a_package() -> None:
    for folder in {path.parent for path in MODULES}:
        assert (folder / "__init__.py").is_file(), f"{folder} has no __init__.py"
