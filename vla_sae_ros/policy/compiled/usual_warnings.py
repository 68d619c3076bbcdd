"""What torch warns of at every compilation on a computer without a GPU, and nobody can change."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from vla_sae_ros.policy.log_filter import without_records

LOGGER = "torch.utils.cpp_extension"
NO_CUDA = "No CUDA runtime is found"
"""Logged where a CUDA compiler is installed and no GPU is there."""
DEPRECATED = r"`torch\.jit\.script_method` is deprecated"
"""Of torch's own code, which is imported when something is compiled first."""


@contextmanager
def without_usual_warnings() -> Iterator[None]:
    """Leave out these two; every other warning is shown."""

    with without_records(LOGGER, NO_CUDA), warnings.catch_warnings():
        warnings.filterwarnings("ignore", DEPRECATED, DeprecationWarning)
        yield
