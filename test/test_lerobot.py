"""Every name of lerobot that this repository uses exists in the installed lerobot.

After raising lerobot (CONTRIBUTING.md), run this first. It names each module and name that moved,
with the files that use it. It reads lerobot's sources and does not import them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vla_sae_ros"
PROGRAMS = [
    path
    for folder in ("vla_sae_ros", "examples", "bench", "tools", "test")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != Path(__file__)
]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("environments/**/*.md")]
SITE = Path(str(distribution("lerobot").locate_file("")))


def imports() -> Iterator[tuple[str, str, Path]]:
    """Yield (module, name, file that imports it) of every import from lerobot."""
    for path in PROGRAMS:
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


def is_there(module: str, name: str = "") -> bool:
    """Whether lerobot has this module and, if given, this name in it."""
    return source_of(module) is not None and (not name or name in names_of(module))


def dotted_names(path: Path) -> set[str]:
    """Return what a file calls lerobot.<...>, in code, messages, comments and commands."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"(?<![\w./-])lerobot(?:\.[A-Za-z_][A-Za-z_0-9]*)+", text)
    return {name for name in found if not name.endswith(".py")}


def test_every_import_from_lerobot_exists() -> None:
    wanted = list(imports())
    assert len(wanted) > 60, "the imports were not found"
    gone = [
        f"{module}{f'.{name}' if name else ''} ({path.relative_to(ROOT)})"
        for module, name, path in wanted
        if not is_there(module, name)
    ]
    assert not gone


def test_every_module_of_lerobot_that_a_message_or_page_names_exists() -> None:
    named = [(name, path) for path in (*PROGRAMS, *PAGES) for name in sorted(dotted_names(path))]
    assert len(named) > 60, "the names were not found"
    gone = [
        f"{name} ({path.relative_to(ROOT)})"
        for name, path in named
        if not is_there(name) and not is_there(*name.rsplit(".", 1))
    ]
    assert not gone


def test_a_missing_module_or_name_is_found() -> None:
    assert not is_there("lerobot.policies.no_such_module")
    assert not is_there("lerobot.policies.factory", "NoSuchPolicy")
    assert is_there("lerobot.policies.factory", "make_pre_post_processors")


def test_only_the_rooms_of_policies_simulators_and_data_sets_import_lerobot() -> None:
    package = [path for _, _, path in imports() if path.is_relative_to(PACKAGE)]
    rooms = {path.relative_to(PACKAGE).parts[0] for path in package}
    assert rooms == {"policy", "sim", "study"}
