"""Where episodes to collect from come from: a simulation, a data set or a bag."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from vla_sae_ros.sim.environment import FloatArray


@dataclass(frozen=True)
class PolicyQuery:
    """One observation the policy is asked about.

    frame: policy feature -> (H, W, 3) uint8 picture or (n,) float32 vector. step: control steps
    executed before it. seed: of the episode; with `step` it seeds the policy's noise.
    object_positions: name -> (3,) [m], world frame; privileged, empty where nobody knows.
    """

    frame: Mapping[str, np.ndarray]
    instruction: str
    seed: int
    step: int
    object_positions: Mapping[str, FloatArray] = field(default_factory=dict)


Answer = Callable[[PolicyQuery], np.ndarray]
"""Asks the policy: the chunk (H, A) for a moment."""


class SourceEpisode(Protocol):
    """One episode that can be gone through."""

    @property
    def episode_id(self) -> str:
        """The same each time the source is opened: what is collected already is skipped."""

    @property
    def task(self) -> str:
        """Of the suite, e.g. "libero_object 3"; empty when unknown."""

    @property
    def inferences(self) -> int:
        """How many moments there are at most."""

    def play(self, answer: Answer) -> bool | None:
        """Go through the episode, asking at each moment; return its success, None if unknown."""


class EpisodeSource(Protocol):
    """Episodes in a fixed order."""

    @property
    def identity(self) -> str:
        """Which recorded episodes these are and how often they are asked about.

        Episodes of another must not be taken for these; empty where ids alone tell them apart.
        """

    @property
    def control_rate(self) -> float:
        """[Hz] of the control steps."""

    @property
    def state_names(self) -> tuple[str, ...]:
        """What the numbers of observation.state are, in their order; empty where nobody knows."""

    def episodes(self) -> Iterator[SourceEpisode]: ...

    def close(self) -> None:
        """Free what the source holds."""
