"""A probe: reads a site's activations for collection, without an SAE, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.taps.pooling import weighted_mean
from vla_sae_ros.policy.taps.tokens import Tokens


class Probe:
    """Hands over what an SAE on this site would read, at the site's last run of each inference.

    One inference is `begin`, the site's runs, then `end`.

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

    def begin(self, tokens: Tokens) -> None:
        """Prepare for one inference."""
        self._tokens = tokens
        self._last: Tensor | None = None

    def __call__(self, x: Tensor) -> None:
        """Read the residual stream x (B, T, d) and leave it as it is."""
        self._last = x

    def end(self) -> None:
        """Hand over the last run's; nothing where the site did not run."""
        if self._last is None:
            return
        stream = self._last.to(torch.float32)
        real = stream[self._tokens.mask(self._token_groups)]
        weights = self._tokens.mean_weights(self._token_groups)
        read = weighted_mean(stream, weights) if self._pooled else real
        self._sink(read, float(real.norm(dim=-1).mean()))
