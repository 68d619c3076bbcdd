"""What a run asks a policy of another process, and what that answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.core.readout import SiteReadout


@dataclass(frozen=True)
class Look:
    """One observation to answer. episode: its number among the sources."""

    name: str
    episode: int
    frame: dict[str, np.ndarray]
    instruction: str
    step: int


@dataclass(frozen=True)
class Asked:
    """What a run asks the policy. share: how far its changes act, 0 to 1."""

    frame: Mapping[str, np.ndarray]
    instruction: str
    noise_seed: tuple[int, int]
    share: float


@dataclass(frozen=True)
class Answered:
    """What the policy says; see `policy.inference.Inference`."""

    actions: np.ndarray
    sites: tuple[SiteReadout, ...]
    milliseconds: float
