"""A probe: reads a site's activations for collection, without an SAE, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vla_sae_ros.policy.adapter import TokenMasks
from vla_sae_ros.policy.pooling import mean_weights, union, weighted_mean
from vla_sae_ros.policy.site import Site


class Probe:
    """Hands over what an SAE on this site would read, at the site's last run of each inference.

    Args:
        site: where it sits.
        pooled: the mean over the tokens (1, d); otherwise every token (N, d).
        token_groups: tokens that count.
        sink: called with (activations, mean residual norm over the tokens).
    """

    def __init__(
        self,
        site: Site,
        pooled: bool,
        token_groups: tuple[str, ...],
        sink: Callable[[Tensor, float], None],
    ) -> None:
        self.site, self._pooled, self._token_groups, self._sink = site, pooled, token_groups, sink

    def begin(self, masks: TokenMasks) -> None:
        """Prepare for one inference."""
        self._mask = union(masks, self._token_groups)
        self._step = 0

    def __call__(self, x: Tensor) -> None:
        """Read the residual stream x (B, T, d) and leave it as it is."""
        self._step += 1
        if self._step < self.site.runs_per_inference:
            return
        stream = x.to(torch.float32)
        tokens = stream[self._mask]
        read = weighted_mean(stream, mean_weights(self._mask)) if self._pooled else tokens
        self._sink(read, float(tokens.norm(dim=-1).mean()))
