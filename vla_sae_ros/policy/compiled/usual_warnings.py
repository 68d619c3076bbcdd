"""What torch warns of at every compilation on a computer without a GPU, and nobody can change."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = "torch.utils.cpp_extension"
NO_CUDA = "No CUDA runtime is found"
"""Logged where a CUDA compiler is installed and no GPU is there."""
DEPRECATED = r"`torch\.jit\.script_method` is deprecated"
"""Of torch's own code, which is imported when something is compiled first."""


@contextmanager
def without_usual_warnings() -> Iterator[None]:
    """Leave out these two; every other warning is shown."""

    def is_news(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(NO_CUDA)

    logger = logging.getLogger(LOGGER)
    logger.addFilter(is_news)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", DEPRECATED, DeprecationWarning)
            yield
    finally:
        logger.removeFilter(is_news)
