"""What a tap read at one site in one inference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

INJECTED = " (injected)"
"""Ends the name under which an injection at a site is told, beside what a tap reads there."""
_NOTHING = np.zeros(0, np.float32)


@dataclass(frozen=True)
class SiteReadout:
    """Active features of one site in one inference, at its last denoising step.

    Attributes:
        site: site name.
        index: (n,) uint32, ascending: every active feature and every edited one.
        natural: (n,) float32, z before any edit; for a per-token SAE the largest over its tokens.
        applied: (n,) float32, z' after the edits and their weights.
        fvu: ||x - x_hat||^2 / ||x - b_dec||^2 of this sample, normalised as the SAE sees it.
        residual_norm: mean ||x|| over the tokens the SAE reads, before the edits.
        edit_norm_ratio: mean ||dx|| / ||x|| over the edited tokens, after the cap;
            the largest of the denoising steps.
        capped: some token's edit was scaled down to the cap.
        tap_ms: [ms] spent in the tap, all denoising steps together; NaN where the tap is part
            of the policy's own graph and cannot be timed.
        unlisted: active features that are missing from `index`, because more were active than the
            SAE lists; never an edited one.
        pooled: (d,) float32, mean of the residual stream over the tokens that the SAE reads, before
            the edits; None where nobody kept it.
    """

    site: str
    index: np.ndarray
    natural: np.ndarray
    applied: np.ndarray
    fvu: float
    residual_norm: float
    edit_norm_ratio: float
    capped: bool
    tap_ms: float
    unlisted: int = 0
    pooled: np.ndarray | None = None


def injected_readout(site: str, ratio: float) -> SiteReadout:
    """Return how much an injection at a site changed, as edits tell it.

    ratio: mean ||dx|| / ||x|| over the replaced tokens; 0 where nothing was.
    """
    index, nan = np.zeros(0, np.uint32), float("nan")
    name = site + INJECTED
    return SiteReadout(name, index, _NOTHING, _NOTHING, nan, nan, ratio, False, nan)
