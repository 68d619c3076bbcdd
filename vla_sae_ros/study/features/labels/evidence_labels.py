"""First labels by evidence: a feature is named after a state variable it follows, or not at all.

The procedure, for each feature that fires often enough: on the training episodes take the variable
with the largest |r|; on the held-out episodes, which took no part in the choice, r with that same
variable must have the same sign and pass the bar. Anything less stays unlabelled. A label states a
correlation, not a cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_sae_ros.study.features.feature_statistics import FeatureStatistics
from vla_sae_ros.study.features.state_variable import StateVariable


@dataclass(frozen=True)
class EvidenceBar:
    """What a feature must pass on the held-out episodes to be named.

    correlation: |r|. inferences and episodes: in how many of each it must fire.
    """

    correlation: float = 0.6
    inferences: int = 20
    episodes: int = 3


@dataclass(frozen=True)
class EvidenceLabel:
    """A label, e.g. "gripper closed", and the sentence that backs it."""

    label: str
    description: str


@dataclass(frozen=True)
class Followed:
    """The variable that each of F features follows best on the training episodes.

    variable: (F,) int64, index of the variable. training and held_out: (F,) float64, Pearson's r
    with it; NaN where either is constant.
    """

    variable: npt.NDArray[np.int64]
    training: npt.NDArray[np.float64]
    held_out: npt.NDArray[np.float64]


def followed(training: FeatureStatistics, held_out: FeatureStatistics) -> Followed:
    """Return for each feature the variable of the largest |r| on the training episodes.

    Both statistics must be over the same variables, at least one.
    """
    strength = np.nan_to_num(np.abs(training.correlation), nan=0.0)
    best = strength.argmax(axis=0)
    feature = np.arange(strength.shape[1])
    return Followed(best, training.correlation[best, feature], held_out.correlation[best, feature])


def evidence_labels(
    training: FeatureStatistics,
    held_out: FeatureStatistics,
    variables: Sequence[StateVariable],
    bar: EvidenceBar | None = None,
) -> dict[int, EvidenceLabel]:
    """Return a label for each feature that passes the bar (default `EvidenceBar()`).

    Both statistics must be over `variables`, in that order.
    """
    bar = bar or EvidenceBar()
    if not variables:
        return {}
    found = followed(training, held_out)
    passes = (
        (np.sign(found.training) == np.sign(found.held_out))
        & (np.abs(found.held_out) >= bar.correlation)
        & (held_out.inferences >= bar.inferences)
        & (held_out.episodes >= bar.episodes)
    )
    labels = {}
    for index in np.flatnonzero(passes).tolist():
        variable = variables[found.variable[index]]
        checked = found.held_out[index]
        name = variable.high if checked > 0 else variable.low
        if name:
            labels[index] = EvidenceLabel(
                name,
                f"r = {checked:+.2f} with {variable.name} on held-out episodes "
                f"({found.training[index]:+.2f} on training episodes).",
            )
    return labels
