"""Only the simulators and their contracts know how wide LIBERO's state and action are.

Another environment has other widths (Meta-World 4 and 4, SO-101 14 and 4, RoboCasa 16 and 12), so
a 7 or an 8 in the shape of an array elsewhere would be LIBERO's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vla_sae_ros"
ROOMS = ("nodes", "study", "bags", "panel", "clients", "activations", "wire")
LIBEROS_OWN = {
    "study/demonstrations": "the scripted teacher acts in LIBERO only",
    "study/policy_training": "trains on the teacher's demonstrations",
    "nodes/robot": "an arm of seven joints; its action has the contract's width",
    "nodes/sim/droid_scene_node.py": "the same arm, drawn",
}
SHAPING = {"zeros", "ones", "empty", "full", "reshape", "broadcast_to", "tile"}
WIDTHS = {7, 8}


def files() -> Iterator[Path]:
    for room in ROOMS:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            name = path.relative_to(PACKAGE).as_posix()
            if not any(name.startswith(own) for own in LIBEROS_OWN):
                yield path


def _is_size(text: str) -> bool:
    return "shape" in text or text.startswith("len(")


def fixed_widths(source: str) -> list[int]:
    """Return the lines on which an array is made or checked with a width of LIBERO's."""
    found = []
    for node in ast.walk(ast.parse(source)):
        looked_at: list[ast.AST] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            looked_at = list(node.args) if node.func.attr in SHAPING else []
        elif isinstance(node, ast.Compare) and _is_size(ast.unparse(node.left)):
            looked_at = list(node.comparators)
        elif isinstance(node, ast.Tuple) and len(node.elts) == 1:
            looked_at = list(node.elts)
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
            looked_at = [one for one in node.slice.elts if isinstance(one, ast.Constant)]
        numbers = (inner for part in looked_at for inner in ast.walk(part))
        if any(isinstance(one, ast.Constant) and one.value in WIDTHS for one in numbers):
            found.append(node.lineno)
    return sorted(set(found))


@pytest.mark.parametrize(
    "line",
    [
        "np.zeros(7)",
        "np.empty((0, 7))",
        "rows.reshape(-1, 8)",
        "assert action.shape == (7,)",
        "(8,)",
        "if len(state) == 8: pass",
        "x[:, 7]",
    ],
)
def test_a_fixed_width_is_noticed(line: str) -> None:
    assert fixed_widths(line) == [1]


def test_no_tool_and_no_node_knows_liberos_widths() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): lines
        for path in files()
        if (lines := fixed_widths(path.read_text(encoding="utf-8")))
    }
    assert not found


def test_what_is_left_out_is_there() -> None:
    for name in LIBEROS_OWN:
        assert (PACKAGE / name).exists()
