"""Which tests must run in one worker, because they share what is dear to make."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
TOGETHER = ("policy/onnx",)
"""Folders whose session fixtures are made once: exported policies."""


def group_of(path: Path) -> str:
    """Return the name of the group of a test file: its folder's, or its own."""
    name = path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else path.name
    return next((folder for folder in TOGETHER if name.startswith(f"{folder}/")), name)
