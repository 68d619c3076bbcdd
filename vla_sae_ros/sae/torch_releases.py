"""What the releases of torch differ in that this package runs on; OpenVLA's environment has 2.2."""

from __future__ import annotations

from collections.abc import Callable

import torch

is_compiling: Callable[[], bool] = getattr(torch.compiler, "is_compiling", bool)
"""Whether torch.compile is tracing; before torch 2.3 nothing of this package is compiled."""
