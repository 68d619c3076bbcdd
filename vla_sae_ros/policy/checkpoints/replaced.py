"""Names in modules and classes of other libraries, replaced for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def replaced(place: ModuleType | type, names: Mapping[str, Any]) -> Iterator[None]:
    """Give names of a module or class these values, and back their own ones at the end."""
    kept = {name: getattr(place, name) for name in names}
    for name, value in names.items():
        setattr(place, name, value)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(place, name, value)
