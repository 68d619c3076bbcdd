"""torch.compile without its code generator: graphs are traced, and run by torch's own kernels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from vla_sae_ros.policy.compiled import parts


def trace_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let policies be traced in seconds, where generating their code takes minutes."""
    monkeypatch.setattr(parts, "_compile", _traced)


def _traced(part: Callable[..., object], _captured: bool) -> Callable[..., object]:
    traced: Callable[..., object] = torch.compile(
        part, fullgraph=True, dynamic=False, backend="eager"
    )
    return traced
