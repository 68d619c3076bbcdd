"""What the hooks did and read, inference by inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.readout import SiteReadout
from vla_sae_ros.policy.inference import Inference


class HookTraces:
    """Collects edit strengths and the activations of chosen features.

    Args:
        traced: (site, feature), of tapped sites.
    """

    def __init__(self, traced: Sequence[tuple[str, int]]) -> None:
        self._traced = tuple(traced)
        self.steps: list[int] = []
        self._ratio: list[float] = []
        self._capped: list[bool] = []
        self._natural: list[list[float]] = []
        self._applied: list[list[float]] = []

    def add(self, step: int, inference: Inference) -> None:
        """Keep what one inference says."""
        sites = {site.site: site for site in inference.sites}
        self.steps.append(step)
        self._ratio.append(max((site.edit_norm_ratio for site in sites.values()), default=0.0))
        self._capped.append(any(site.capped for site in sites.values()))
        values = [_activation(sites.get(site), feature) for site, feature in self._traced]
        self._natural.append([natural for natural, _ in values])
        self._applied.append([applied for _, applied in values])

    @property
    def strength(self) -> dict[str, float]:
        """Return edit_ratio, capped_share and acted_share as `table.Row` has them."""
        ratio = np.array(self._ratio)
        acted = ratio > 0
        return {
            "edit_ratio": float(ratio[acted].mean()) if acted.any() else 0.0,
            "capped_share": float(np.array(self._capped)[acted].mean()) if acted.any() else 0.0,
            "acted_share": float(acted.mean()) if len(ratio) else 0.0,
        }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays that `files.Trajectory` and `files.Responses` share."""
        shape = (len(self.steps), len(self._traced))
        return {
            "edit_ratio": np.array(self._ratio, np.float32),
            "capped": np.array(self._capped, bool),
            "feature_sites": np.array([site for site, _ in self._traced], str),
            "feature_ids": np.array([feature for _, feature in self._traced], np.int64),
            "natural": np.array(self._natural, np.float32).reshape(shape),
            "applied": np.array(self._applied, np.float32).reshape(shape),
        }


def _activation(site: SiteReadout | None, feature: int) -> tuple[float, float]:
    if site is None:
        return np.nan, np.nan
    place = np.flatnonzero(site.index == feature)
    if not len(place):
        return 0.0, 0.0
    return float(site.natural[place[0]]), float(site.applied[place[0]])
