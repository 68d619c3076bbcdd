"""The mean length of the residual stream in collected activations."""

from __future__ import annotations

import numpy as np

from vla_sae_ros.activations.dataset import SiteActivations


def mean_residual_norm(data: SiteActivations, mean_sample_norm: float) -> tuple[float, str]:
    """Return mean ||x|| and over what: the tokens, where every inference recorded theirs.

    mean_sample_norm: the mean norm of `data.rows`, which are shorter than tokens when pooled.
    """
    norms = [one.residual_norm for one in data.steps]
    known = [norm for norm in norms if norm is not None]
    if len(known) == len(norms):
        return float(np.mean(known)), "tokens"
    return mean_sample_norm, "samples"
