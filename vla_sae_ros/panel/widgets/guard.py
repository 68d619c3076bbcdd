"""No exception may leave a slot, a paint or a callback: it would end the whole process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

T = TypeVar("T")

_log = logging.getLogger("vla_sae_ros.panel")


class Mishaps:
    """Exceptions that were caught; the window shows their number and the last one."""

    def __init__(self) -> None:
        """Start with none."""
        self.count = 0
        self.last = ""

    def note(self, where: str, error: Exception) -> None:
        """Log with traceback and count."""
        self.count += 1
        self.last = f"{where}: {type(error).__name__}: {error}"
        if self.count <= 20:  # the same fault in every frame must not fill the disk
            _log.error("in %s", where, exc_info=error)


MISHAPS = Mishaps()
"""Of this process."""


def guarded(default: Any = None) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Return a decorator: an exception is noted in MISHAPS and `default` is returned instead."""

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        @wraps(function)
        def call(*arguments: Any, **named: Any) -> T:
            try:
                return function(*arguments, **named)
            except Exception as error:
                MISHAPS.note(function.__qualname__, error)
                return default

        return call

    return decorate
