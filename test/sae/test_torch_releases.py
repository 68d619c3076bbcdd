"""OpenVLA's environment has torch 2.2, which knows less than lerobot's."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from vla_sae_ros.sae import torch_releases

PACKAGE = Path(torch_releases.__file__).parents[1]


def test_without_a_compiler_that_tells_nothing_is_being_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert torch_releases.is_compiling is torch.compiler.is_compiling
    with monkeypatch.context() as older:
        older.delattr(torch.compiler, "is_compiling")
        importlib.reload(torch_releases)
        assert torch_releases.is_compiling() is False
    importlib.reload(torch_releases)


def test_only_what_is_compiled_asks_torch_itself() -> None:
    asking = {
        path.relative_to(PACKAGE).parts[:2]
        for path in PACKAGE.rglob("*.py")
        if "torch.compiler.is_compiling()" in path.read_text()
    }
    assert asking == {("policy", "compiled")}
