"""Colours that people with any colour vision can tell apart (Okabe and Ito, 2008)."""

from __future__ import annotations

BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
BLACK = "#000000"

LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
"""In the order in which lines take them."""

STEERING = "#F5D58A"
"""Background of the time in which steering acts."""


def rgb(colour: str) -> tuple[int, int, int]:
    """Return "#RRGGBB" as three bytes."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
