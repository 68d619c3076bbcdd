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

from vla_sae_ros.study.feature_statistics import FeatureStatistics
from vla_sae_ros.study.state_variables import StateVariable


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
    strength = np.nan_to_num(np.abs(training.correlation), nan=0.0)
    best = strength.argmax(axis=0)
    feature = np.arange(strength.shape[1])
    chosen, checked = training.correlation[best, feature], held_out.correlation[best, feature]
    passes = (
        (np.sign(chosen) == np.sign(checked))
        & (np.abs(checked) >= bar.correlation)
        & (held_out.inferences >= bar.inferences)
        & (held_out.episodes >= bar.episodes)
    )
    labels = {}
    for index in np.flatnonzero(passes).tolist():
        variable = variables[best[index]]
        name = variable.high if checked[index] > 0 else variable.low
        if name:
            labels[index] = EvidenceLabel(
                name,
                f"r = {checked[index]:+.2f} with {variable.name} on held-out episodes "
                f"({chosen[index]:+.2f} on training episodes).",
            )
    return labels
