"""Messages of any type, filled at random: empty, plausible, huge and absurd values mixed."""

from __future__ import annotations

import importlib
import random
from collections.abc import Sequence
from typing import Any

PRESET = "format: 1\nname: x\nedits:\n  - {site: s, feature: 1, mode: clamp, value: 1.0}\n"
TEXTS: dict[str, tuple[str, ...]] = {
    "plausible": ("", "s", "me", "expert.1", "lockstep", "fake_suite"),
    "paths": (
        "~nobody_has_this_name/x",
        "/" * 300,
        "../../x",
        "a b/c",
        "..",
        "/",
        "./a/../b",
        "a/b\x00c",
        "$(id)`id`${HOME}",
        "x\\y",
    ),
    "long": ("x" * 100_000, "y" * 65_536, "word " * 13_000),
    "written otherwise": ("\U0001f916é\u202e", "\u202ecba\u202c", "\u2066x\u2069\u05d0\u0627"),
    "unseen": ("a\u200b\u200d\ufeffb", "\u00ad", "\u2028x\u2029y\x85z", " \t\r\n ", "\x7f\x01\x1f"),
    "escapes": ("\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b2J", "line\rover\x08\x08it"),
    "combined": ("Z" + "\u0301" * 500, "e\u0301", "\u0301", "expert.1\u0332"),
    "looks like another": ("\u0435xpert.1", "p\u043elicy", "\uff45xpert.1", "expert\u20241"),
    "markup": (
        "%s {0} $x$ <b>",
        "<script>alert(1)</script>&amp;<img src=x onerror=y>",
        "$\\frac{1}{0$ \\usepackage",
        "[bold red]x[/] [/nothing]",
        "{{7*7}} {x.__class__} %(x)s %n",
        "!!python/object/apply:os.system [id]",
        "- {a: b",
        "%YAML 9.9\n---\n...",
        "*nobody",
    ),
    "numbers": ("1", "-0", "1e309", "0x10", "1_000", "\u0663", "NaN", "-inf", "010", "9" * 5000),
    "other types": ("true", "off", "null", "~", "[]", "1:30", "2026-02-30", "2026-11-29T08:00:00Z"),
    "presets": (
        PRESET,
        PRESET.replace("name: x", "name: 2026-28-11"),
        PRESET.replace("name: x", 'name: "\\uD83D"'),
        PRESET.replace("site: s", 'site: "\\uDC00"'),
        PRESET.replace("site: s", 'site: "\\e[31m\\0\\u202E"'),
        PRESET.replace("feature: 1", "feature: 0b_"),
        PRESET.replace("feature: 1", 'feature: "\u0661"'),
        PRESET.replace("value: 1.0", "value: 1" + "0" * 400),
        PRESET.replace("value: 1.0", "value: 1.0, duration: 1.0e+39"),
        PRESET.replace("value: 1.0", "value: 12:30:45"),
        PRESET.replace("mode: clamp", "mode: \u0441lamp"),
        PRESET.replace("name: x", "name: " + "z" * 60_000),
    ),
    "documents": (
        "edits: " + "[" * 5000,
        "a: &a [*a]",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\nname: !!python/object:os.system x",
        "\ufeff" + PRESET,
        "? [a, b]\n: {<<: 1}",
        "{" * 3000,
    ),
}
"""By class; as many of each are drawn."""
MARKED, BROKEN = "QWXYZQ", b"\xed\xa0\xbd\xff\xfe\xc3"
"""A text, and what takes its place on the wire: a lone surrogate, bytes that UTF-8 has not, half a
letter. Python can send no such text; other languages can."""
NUMBERS = (0.0, 1.0, -1.0, 1e-40, 3.4e38, -3.4e38, float("nan"), float("inf"), 19.9, 60.0)


class MessageGenerator:
    """Fills messages; the same seed gives the same ones.

    names: further texts, e.g. of a node's parameters, drawn as often as all others together.
    classes: the others, by class.
    """

    def __init__(
        self,
        seed: int,
        names: Sequence[str] = (),
        classes: Sequence[Sequence[str]] = tuple(TEXTS.values()),
    ) -> None:
        self._random, self._names, self._classes = random.Random(seed), names, classes

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
            return self._random.choice(self._names if own else self._random.choice(self._classes))
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
