"""What the panel shows, as plain values made from messages on the ROS thread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FeatureName = tuple[str, int]
"""(site, feature)."""

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Site:
    """One site of the policy with an SAE."""

    name: str
    dictionary_size: int
    can_steer: bool


@dataclass(frozen=True)
class CatalogueView:
    """All known features of all sites, as columns of R rows."""

    policy_id: str
    sites: tuple[Site, ...]
    site_index: npt.NDArray[np.int32]
    """(R,) index into `sites`."""
    feature: IndexArray
    """(R,)."""
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    descriptions: tuple[str, ...]
    observed_max: FloatArray
    """(R,) in the SAE's units; 0 for a dead feature."""


@dataclass(frozen=True)
class Activations:
    """The active features of one site in one inference."""

    site: str
    episode_id: str
    step: int
    revision: int
    index: IndexArray
    natural: FloatArray
    applied: FloatArray
    edit_norm_ratio: float
    capped: bool
    bypassed: bool
    inference_ms: float


@dataclass(frozen=True)
class EditView:
    """One standing edit; values in the SAE's units."""

    site: str
    feature: int
    owner: str
    phase: str
    commanded: float
    applied: float
    lease_remaining: float


@dataclass(frozen=True)
class SteeringView:
    """The steering state as the policy published it last."""

    revision: int
    bypass: bool
    cap: float
    edits: tuple[EditView, ...]


@dataclass(frozen=True)
class EpisodeView:
    """What the bridge is doing."""

    episode_id: str
    suite: str
    task: int
    instruction: str
    step: int
    max_steps: int
    status: str
    detail: str
    realtime: bool
    missed_deadlines: int
    held_ticks: int
    dropped_chunks: int


@dataclass(frozen=True)
class Outcome:
    """How a request ended, in words."""

    accepted: bool
    text: str
