"""A quantity that features are compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StateVariable:
    """One quantity over all inferences, and how to say that a feature follows it.

    values: (n,) float64, NaN where unknown. high and low: label of a feature that fires when the
    value is high or low; empty where that says nothing.
    """

    name: str
    unit: str
    values: np.ndarray
    high: str
    low: str


def indicator(name: str, holds: np.ndarray, known: np.ndarray, label: str) -> StateVariable:
    """Return a variable that is 1 where `holds`, else 0, and NaN where it is not `known`."""
    return StateVariable(name, "1", np.where(known, holds.astype(float), np.nan), label, "")
