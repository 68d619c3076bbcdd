"""Log records of other packages that say nothing to a user."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_records(logger: str | None, beginning: str) -> Iterator[None]:
    """Leave out what a logger (None: the root logger) says with this beginning."""

    def is_news(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(beginning)

    named = logging.getLogger(logger)
    named.addFilter(is_news)
    try:
        yield
    finally:
        named.removeFilter(is_news)
