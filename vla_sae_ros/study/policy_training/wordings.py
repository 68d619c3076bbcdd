"""Other ways to say what libero_object's instructions say, for training."""

from __future__ import annotations

import re

_OWN = re.compile(r"pick up the (?P<thing>.+) and place it in the basket")
TEMPLATES = (
    "put the {thing} in the basket",
    "place the {thing} inside the basket",
    "take the {thing} and drop it in the basket",
    "get the {thing} into the basket",
    "lift the {thing} and put it into the basket",
    "move the {thing} over to the basket",
    "bring the {thing} to the basket",
    "the {thing} goes in the basket",
    "find the {thing} and put it in the basket",
)
"""Written for this project; a test holds that LIBERO-PRO's reworded instructions are not here."""


def wordings(instruction: str) -> tuple[str, ...]:
    """Return the instruction, then the same wish in other words where they are known."""
    match = _OWN.fullmatch(instruction)
    if match is None:
        return (instruction,)
    return (instruction, *(template.format(thing=match["thing"]) for template in TEMPLATES))
