"""Training and held-out activations with the state variables of their steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vla_sae_ros.activations.dataset import SiteActivations
from vla_sae_ros.study.features.state_variable import StateVariable
from vla_sae_ros.study.features.state_variables import state_variables


@dataclass(frozen=True)
class SplitPart:
    """One part of the episodes with the state variables of its steps."""

    data: SiteActivations
    variables: list[StateVariable]

    @property
    def episode_count(self) -> int:
        """Return how many episodes the part has."""
        return int(self.data.episode.max(initial=-1)) + 1


def with_variables(
    training: SiteActivations,
    validation: SiteActivations,
    control_rate: float,
    state_names: Sequence[str] = (),
) -> tuple[SplitPart, SplitPart]:
    """Compute the variables over both parts at once, so that both have the same ones."""
    first = int(training.episode.max(initial=-1)) + 1
    variables = state_variables(
        training.steps + validation.steps,
        np.concatenate([training.episode, validation.episode + first]),
        control_rate,
        state_names,
    )
    cut = len(training.steps)
    return (
        SplitPart(training, [replace(one, values=one.values[:cut]) for one in variables]),
        SplitPart(validation, [replace(one, values=one.values[cut:]) for one in variables]),
    )
