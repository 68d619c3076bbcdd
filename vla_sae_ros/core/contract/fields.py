"""A section of a contract file that knows where it stands and refuses keys it does not know."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vla_sae_ros.core.errors import ContractError, complaint

UNSUPPORTED = {
    "decoder": "a contract never imports code; use a supported message type",
    "encoder": "a contract never imports code; use a supported message type",
    "teleop": "teleoperation is not implemented; remove the section",
    "rewards": "rewards are not implemented; remove the section",
    "signals": "episode signals are not implemented; remove the section",
    "info": "extra columns are not implemented; remove the section",
    "complementary_data": "extra columns are not implemented; remove the section",
    "adjunct": "name the extra topics in the recorder's parameter `topics` instead",
    "kind": "field kinds are not implemented; remove the key",
}
"""Keys of the format that this package does not serve, and what to do about each."""


class Fields:
    """A mapping of the file, taken apart key by key; `done` refuses what was not taken."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise ContractError(complaint(where or "The contract", value, "a mapping of keys"))
        self._rest: dict[str, Any] = {str(key): item for key, item in value.items()}
        self._known: list[str] = []
        self._where = where

    def path(self, key: str) -> str:
        """Return where a key stands in the file, in words for a message."""
        return f"{self._where}.{key}" if self._where else key

    def take(self, key: str, default: object = ...) -> Any:
        """Return a key's value; raises ContractError when it lacks and has no default."""
        self._known.append(key)
        if key in self._rest:
            return self._rest.pop(key)
        if default is ...:
            raise ContractError(f"{self.path(key)} is missing, but required.")
        return default

    def section(self, key: str, default: object = ...) -> Fields:
        """Return a nested mapping."""
        return Fields(self.take(key, default), self.path(key))

    def choice(self, key: str, allowed: tuple[str, ...], default: object = ...) -> Any:
        """Return one of a few words."""
        value = self.take(key, default)
        if value not in allowed:
            raise ContractError(complaint(self.path(key), value, ", ".join(allowed)))
        return value

    def text(self, key: str) -> str:
        """Return a text that is not empty."""
        value = self.take(key)
        if not isinstance(value, str) or not value.strip():
            raise ContractError(complaint(self.path(key), value, "a non-empty text"))
        return value

    def number(self, key: str, low: float, high: float, default: object = ...) -> float:
        """Return a finite number within the bounds, both included."""
        value = self.take(key, default)
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        if not fits or not math.isfinite(value) or not low <= value <= high:
            raise ContractError(complaint(self.path(key), value, f"{low:g} to {high:g}"))
        return float(value)

    def whole_number(self, key: str, low: int, high: int, default: object = ...) -> int:
        """Return a whole number within the bounds, both included; 2.5 is refused, not cut."""
        value = self.number(key, low, high, default)
        if not value.is_integer():
            raise ContractError(complaint(self.path(key), value, f"{low} to {high}, whole"))
        return int(value)

    def items(self) -> list[tuple[str, Any]]:
        """Return and take every remaining key."""
        taken, self._rest = list(self._rest.items()), {}
        return taken

    def done(self) -> None:
        """Raise ContractError for the first key that nobody took."""
        for key in self._rest:
            if key.startswith("x-") and not self._where:
                continue  # shared YAML anchors live there
            if key in UNSUPPORTED:
                raise ContractError(f"{self.path(key)} is not supported: {UNSUPPORTED[key]}.")
            raise ContractError(complaint("Unknown key", self.path(key), ", ".join(self._known)))
