"""Imports point downwards only, rooms are small, and heavy libraries stay in their rooms."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = "vla_sae_ros"
PACKAGE = Path(__file__).parents[1] / ROOT
TESTS = Path(__file__).parent
MESSAGES = {"msg", "srv", "action"}

FLOORS = (
    {"core"},
    {"sae", "sim", "robot", "systems", "wire", "monitors"},
    {"policy", "bags", "clients", "panel", "supervision"},
    {"activations"},
    {"study", "nodes"},
    {"live"},
)
"""Rooms from the lowest floor up: a room imports from lower floors, and from no neighbour."""

STAIRS = {"resources", "environment", "own_process", "commands"}
"""Modules at the top that every room but core may use."""

FEWEST, MOST = 5, 26
"""Files and rooms in a room, `__init__.py` counted; MOST is of Python files."""

ROS = {
    "rclpy",
    "std_msgs",
    "sensor_msgs",
    "geometry_msgs",
    "visualization_msgs",
    "diagnostic_msgs",
    "std_srvs",
    "lifecycle_msgs",
    "action_msgs",
    "rcl_interfaces",
    "builtin_interfaces",
}
QT = {"PyQt5", "pyqtgraph", "qtpy", "PyQt6", "PySide6"}
TORCH = {"torch", "torchvision", "transformers", "lerobot", "safetensors"}
SIMULATOR = {"mujoco", "robosuite", "libero"}
ROS_INSTALL_ONLY = {
    "launch",
    "launch_ros",
    "ros2cli",
    "rosbag2_py",
    "tf2_ros",
    "diagnostic_updater",
    "cv_bridge",
    "rosidl_runtime_py",
    "message_filters",
    "rqt_gui_py",
    "rqt_py_common",
    "python_qt_binding",
    "composition_interfaces",
}

FORBIDDEN = {
    "core": ROS | QT | TORCH | SIMULATOR,
    "sae": ROS | QT | SIMULATOR,
    "sim": ROS | QT,
    "robot": ROS | QT | TORCH,
    "policy": ROS | QT | SIMULATOR,
    "systems": ROS | QT | TORCH | SIMULATOR,
    "wire": QT | TORCH | SIMULATOR,
    "monitors": ROS | QT | SIMULATOR | {"torch", "lerobot"},
    "bags": QT | TORCH | SIMULATOR,
    "clients": QT | TORCH | SIMULATOR,
    "activations": ROS | QT,
    "study": ROS | QT,
    "nodes": QT,
    "panel": TORCH | SIMULATOR,
    "supervision": ROS | QT | TORCH | SIMULATOR,
    "live": QT,
}

LIGHT_ROOMS = ("systems", "supervision")
LIGHT_MODULES = (
    "cli",
    "completion",
    "doctor",
    "machine_checks",
    "resources",
    "environment",
    "own_process",
    "commands",
)


def dotted(path: Path) -> str:
    """Return a module's name; a folder's for its `__init__.py`."""
    parts = (ROOT, *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {dotted(path): path for path in FILES}


@cache
def imported(path: Path) -> tuple[str, ...]:
    """Return the full name of everything a module imports, wherever in the module."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(names)


def own_imports(path: Path) -> Iterator[str]:
    """Yield the modules of this package, generated messages included, that a module imports."""
    for name in imported(path):
        if name.split(".")[0] != ROOT:
            continue
        yield name if name in MODULES else name.rpartition(".")[0]


def graph() -> dict[str, set[str]]:
    """Return module -> modules it imports: at the top, in functions and for type checking."""
    return {name: {*own_imports(path)} & MODULES.keys() for name, path in MODULES.items()}


def folder_of(module: str) -> str:
    """Return the folder below the package, "" at its top."""
    return MODULES[module].parent.relative_to(PACKAGE).as_posix().removeprefix(".")


def circles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the strongly connected components with more than one member (Tarjan 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    waiting: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        waiting.append(node)
        for other in edges.get(node, ()):
            if other not in order:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in waiting:
                lowest[node] = min(lowest[node], order[other])
        if lowest[node] == order[node]:
            members = waiting[waiting.index(node) :]
            del waiting[waiting.index(node) :]
            if len(members) > 1:
                found.append(sorted(members))

    for node in edges:
        if node not in order:
            visit(node)
    return found


def floor_of(room: str) -> int:
    for floor, rooms in enumerate(FLOORS):
        if room in rooms:
            return floor
    raise AssertionError(f"a new room, {room}: say in {__file__} on which floor it is")


def test_a_circle_is_found() -> None:
    assert circles({"a": ["b"], "b": ["c"], "c": ["b"], "d": ["a"]}) == [["b", "c"]]


def test_imports_point_to_lower_floors() -> None:
    wrong = []
    for name, path in MODULES.items():
        room = folder_of(name).split("/")[0]
        if not room:
            continue
        for other in own_imports(path):
            target = other.split(".")[1] if "." in other else ""
            if target in MESSAGES:
                continue
            fine = target == room or (
                target in STAIRS
                if target not in set().union(*FLOORS)
                else floor_of(target) < floor_of(room)
            )
            if not fine or (room == "core" and target != "core"):
                wrong.append(f"{name} imports {other}")
    assert not wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Late imports and those for type checking are counted."""
    assert circles(graph()) == []


def test_no_folders_import_each_other_in_a_circle() -> None:
    edges: dict[str, set[str]] = defaultdict(set)
    for name, others in graph().items():
        edges[folder_of(name)] |= {folder_of(other) for other in others} - {folder_of(name)}
    # A folder's own modules and its subfolders are one house; circles between siblings count.
    for folder in list(edges):
        edges[folder] = {
            other
            for other in edges[folder]
            if other and not _contains(folder, other) and not _contains(other, folder)
        }
    assert circles(edges) == []


def _contains(folder: str, other: str) -> bool:
    return other.startswith(f"{folder}/")


def test_a_folder_is_one_concept_of_a_few_files_and_says_which() -> None:
    wrong = []
    for folder in {path.parent for path in FILES} - {PACKAGE}:
        init = folder / "__init__.py"
        if not init.is_file() or not ast.get_docstring(ast.parse(init.read_text())):
            wrong.append(f"{folder}: no __init__.py that says in a sentence what it is for")
        files = len(list(folder.glob("*.py")))
        entries = len([each for each in folder.iterdir() if each.name != "__pycache__"])
        if files > MOST or entries < FEWEST:
            wrong.append(f"{folder}: {files} Python files, {entries} entries")
    assert not wrong


def test_tests_mirror_the_rooms() -> None:
    rooms = {folder_of(name) for name in MODULES}
    folders = {
        path.parent.relative_to(TESTS).as_posix().removeprefix(".")
        for path in TESTS.rglob("test_*.py")
    }
    assert folders <= rooms


def test_foreign_libraries_stay_in_their_rooms() -> None:
    wrong = []
    for name, path in MODULES.items():
        names = {each.split(".")[0] for each in imported(path)}
        forbidden = FORBIDDEN.get(folder_of(name).split("/")[0], set())
        if not path.name.startswith("rqt_"):
            forbidden = forbidden | ROS_INSTALL_ONLY
        wrong += [f"{name} imports {each}" for each in sorted(names & forbidden)]
    assert not wrong


def test_the_command_line_and_the_systems_import_nothing_heavy() -> None:
    heavy = ROS | QT | TORCH | SIMULATOR | {"numpy"}
    light = [PACKAGE / f"{name}.py" for name in LIGHT_MODULES]
    light += [path for room in LIGHT_ROOMS for path in (PACKAGE / room).rglob("*.py")]
    for path in light:
        assert not {name.split(".")[0] for name in imported(path)} & heavy, path


def test_nodes_import_no_offline_tool() -> None:
    for name, path in MODULES.items():
        if folder_of(name).startswith("nodes"):
            assert not [each for each in own_imports(path) if each.startswith(f"{ROOT}.study")], (
                name
            )


def test_what_serves_exported_policies_imports_no_torch() -> None:
    """Importing it all in a process without PyTorch is test/policy/onnx/test_without_torch.py."""
    for path in (PACKAGE / "policy" / "onnx").glob("*.py"):
        assert not {name.split(".")[0] for name in imported(path)} & TORCH, path
