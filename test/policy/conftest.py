"""Tiny policies of every family, built once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tiny_families import TinyFamily, build_family


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TinyFamily]:
    """Return a family's tiny policy by name."""
    built: dict[str, TinyFamily] = {}

    def get(name: str) -> TinyFamily:
        if name not in built:
            built[name] = build_family(name, tmp_path_factory.mktemp(name))
        return built[name]

    return get
