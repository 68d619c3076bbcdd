"""Every name of lerobot that the package imports is where the package looks for it.

Raise the pins, `make lock`, and run this first: it names what moved, and which files import it. It
reads lerobot's sources and imports nothing of it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "vla_sae_ros"
SITE = Path(str(distribution("lerobot").locate_file("")))


def imports() -> Iterator[tuple[str, str, Path]]:
    """Yield (module, name, file that imports it) of every import from lerobot."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lerobot":
                yield from ((str(node.module), alias.name, path) for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from (
                    (alias.name, "", path)
                    for alias in node.names
                    if alias.name.split(".")[0] == "lerobot"
                )


def source_of(module: str) -> Path | None:
    base = SITE.joinpath(*module.split("."))
    return next(
        (each for each in (base.with_suffix(".py"), base / "__init__.py") if each.is_file()), None
    )


@cache
def names_of(module: str) -> frozenset[str]:
    """Return what a module defines or imports, at any depth; its submodules, too."""
    source = source_of(module)
    if source is None:
        return frozenset()
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    if source.name == "__init__.py":
        found |= {path.stem for path in source.parent.glob("*.py")}
        found |= {path.parent.name for path in source.parent.glob("*/__init__.py")}
    return frozenset(found)


def test_every_name_of_lerobot_is_where_the_package_looks_for_it() -> None:
    wanted = list(imports())
    assert len(wanted) > 30, "the imports were not found"
    gone = [
        f"{module}{f'.{name}' if name else ''} ({path.relative_to(PACKAGE)})"
        for module, name, path in wanted
        if source_of(module) is None or (name and name not in names_of(module))
    ]
    assert not gone


def test_a_name_that_is_not_there_would_be_told() -> None:
    assert source_of("lerobot.policies.no_such_module") is None
    assert "NoSuchPolicy" not in names_of("lerobot.policies.factory")
    assert "make_pre_post_processors" in names_of("lerobot.policies.factory")


def test_only_the_rooms_of_policies_simulators_and_data_sets_import_lerobot() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0] for _, _, path in imports()}
    assert rooms == {"policy", "sim", "study"}
