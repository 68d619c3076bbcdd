"""What the documents point at is there, and the commands that they show can be given."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from vla_sae_ros.cli import COMMANDS
from vla_sae_ros.commands import leaves

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("models/**/*.md"),
    *ROOT.glob("examples/*.md"),
    *ROOT.glob("environments/**/*.md"),
]
OTHER_NAMES = {"vla_sae_ros.dropped", "vla_sae_ros.ended"}
"""Keys in a bag's metadata."""
FOLDERS = (ROOT, ROOT / "vla_sae_ros", ROOT / "test")


def is_module(dotted: str) -> bool:
    """Whether it is a module or folder of the package, or something in one (its last word)."""
    path = ROOT / dotted.replace(".", "/")
    if path.is_dir() or path.with_suffix(".py").exists():
        return True
    inside = path.parent.with_suffix(".py")
    if not inside.exists():
        inside = path.parent / "__init__.py"
    return inside.exists() and re.search(rf"\b{path.name}\b", inside.read_text()) is not None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_programs_that_a_document_names_are_there(document: Path) -> None:
    text = document.read_text()
    modules = re.findall(r"\bvla_sae_ros(?:\.(?!msg|srv|action)[a-z_0-9]+)+\b", text)
    missing = [name for name in modules if not is_module(name) and name not in OTHER_NAMES]
    files = re.findall(r"(?<![\w/.<])(?:\w+/)+\w+\.py\b", text)
    missing += [
        file
        for file in files
        if not any((folder / file).exists() for folder in (*FOLDERS, document.parent))
    ]
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text)
    missing += [link for link in links if not (document.parent / link).exists()]
    assert not missing


def test_the_table_of_rooms_tells_what_each_imports() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = dict(re.findall(r"^\| `([a-z_]+)` \|.*\| ([a-z_ ]+|-) \|$", text, re.MULTILINE))
    package = ROOT / "vla_sae_ros"
    assert set(table) == {path.parent.name for path in package.glob("*/__init__.py")}
    for room, told in table.items():
        sources = "\n".join(path.read_text() for path in (package / room).rglob("*.py"))
        imported = set(re.findall(r"^\s*(?:from|import) vla_sae_ros\.([a-z_]+)", sources, re.M))
        assert set(told.split()) - {"-"} == imported & (table.keys() - {room}), room


def commands_in(document: Path) -> Iterator[list[str]]:
    """Yield the words after `vla-sae` of every command line in the code blocks of a document."""
    for block in re.findall(r"^```(?:bash)?\n(.*?)^```", document.read_text(), re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.match(r"(?:\.venv/bin/)?vla-sae (.*)", line)
            if command is not None:
                words = shlex.split(command[1], comments=True)
                ends = (i for i, word in enumerate(words) if word in ("&", "|", ">"))
                yield words[: next(ends, len(words))]


@pytest.mark.slow
def test_the_program_takes_every_command_that_a_document_shows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parsers = {}
    for words, module in leaves(COMMANDS, "vla-sae"):
        parsers[words] = argparse.ArgumentParser(words)
        module.add_arguments(parsers[words])
    shown = [(document, words) for document in DOCUMENTS for words in commands_in(document)]
    assert len(shown) > 100, "the commands were not found"
    for document, words in shown:
        one, two = (" ".join(("vla-sae", *words[:n])) for n in (1, 2))
        parser, rest = (
            (parsers[two], words[2:]) if two in parsers else (parsers.get(one), words[1:])
        )
        if parser is None:  # a group of commands
            assert words[-1:] == ["--help"], f"{document.name}: {words}"
            continue
        try:
            parser.parse_args(rest)
        except SystemExit as end:
            assert not end.code, f"{document.name}: {words}: {capsys.readouterr().err}"
