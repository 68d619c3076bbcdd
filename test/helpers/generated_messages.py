"""Messages of any type, filled at random: empty, plausible, huge and absurd values mixed."""

from __future__ import annotations

import importlib
import random
from collections.abc import Sequence
from typing import Any

PRESET = "format: 1\nname: x\nedits:\n  - {site: s, feature: 1, mode: clamp, value: 1.0}\n"
TEXTS = (
    "",
    "s",
    "me",
    "expert.1",
    "lockstep",
    "fake_suite",
    "~nobody_has_this_name/x",
    "/" * 300,
    "../../x",
    "a b/c",
    "x" * 100_000,
    "\U0001f916é\u202e",
    "%s {0} $x$ <b>",
    PRESET,
    PRESET.replace("name: x", "name: 2026-28-11"),
    PRESET.replace("name: x", 'name: "\\uD83D"'),
    PRESET.replace("feature: 1", "feature: 0b_"),
    PRESET.replace("value: 1.0", "value: 1" + "0" * 400),
    PRESET.replace("value: 1.0", "value: 1.0, duration: 1.0e+39"),
    "edits: " + "[" * 5000,
    "a: &a [*a]",
    "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\nname: !!python/object:os.system x",
)
NUMBERS = (0.0, 1.0, -1.0, 1e-40, 3.4e38, -3.4e38, float("nan"), float("inf"), 19.9, 60.0)


class MessageGenerator:
    """Fills messages; the same seed gives the same ones.

    names: further texts, e.g. of a node's parameters, drawn as often as all others together.
    """

    def __init__(self, seed: int, names: Sequence[str] = ()) -> None:
        self._random, self._names = random.Random(seed), names

    def fill(self, message: Any) -> Any:
        """Fill four of five fields and return the message."""
        for name, kind in message.get_fields_and_field_types().items():
            if self._random.random() < 0.8:
                self._set(message, name, kind)
        return message

    def _set(self, message: Any, name: str, kind: str) -> None:
        if not kind.endswith("]"):  # of fixed size: what it is filled with by default
            setattr(message, name, self._value(kind))

    def _value(self, kind: str) -> Any:
        if kind.startswith("sequence<"):
            inner = kind.removeprefix("sequence<").removesuffix(">").split(",")[0]
            return [self._value(inner) for _ in range(self._random.choice((0, 1, 1, 2, 3, 70)))]
        if kind.startswith("string"):
            own = self._names and self._random.random() < 0.5
            return self._random.choice(self._names if own else TEXTS)
        if kind == "boolean":
            return self._random.random() < 0.5
        if kind in ("float", "double"):
            return self._random.choice(NUMBERS)
        if kind == "octet":
            return b"\x00"
        if "int" in kind and "/" not in kind:
            bits, signed = int(kind.removeprefix("u").removeprefix("int")), kind[0] != "u"
            low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
            return self._random.choice((0, 1, 2, 3, low, high))
        package, name = kind.split("/")
        return self.fill(getattr(importlib.import_module(f"{package}.msg"), name)())
