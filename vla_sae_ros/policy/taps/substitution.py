"""Putting the reconstruction in the place of the residual stream: a diagnostic, never in service.

What the reconstruction lacks is what the autoencoder does not see; how much worse the policy acts
with it says how much of that the policy needs. Steering adds differences instead, see `tap`.
"""

from __future__ import annotations

from torch import Tensor

from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.taps.pooling import weighted_mean
from vla_sae_ros.policy.taps.tokens import Tokens
from vla_sae_ros.sae import SparseAutoencoder


class Substitution:
    """Replaces what an SAE reads at a site by its reconstruction, at every run, while `active`.

    Per token the stream becomes the reconstruction; for a pooled SAE every token moves by the same
    vector, so that their mean becomes the reconstruction.

    Args:
        site: where it sits.
        sae: float32, on the policy's device.
        pooled: the SAE reads the mean over the tokens.
        token_groups: tokens that it reads.
    """

    def __init__(
        self, site: Site, sae: SparseAutoencoder, pooled: bool, token_groups: tuple[str, ...]
    ) -> None:
        self.site, self._sae, self._pooled, self._token_groups = site, sae, pooled, token_groups
        self.active = False

    def begin(self, tokens: Tokens) -> None:
        """Prepare for one inference."""
        self._tokens = tokens

    def __call__(self, x: Tensor) -> Tensor | None:
        """Return what turns the residual stream x (B, T, d) into its reconstruction."""
        if not self.active:
            return None
        stream = x.float()
        read = stream
        if self._pooled:
            weights = self._tokens.mean_weights(self._token_groups)
            read = weighted_mean(stream, weights)[:, None]
        missing = self._sae.reconstruct(read) - read
        return (missing * self._tokens.mask(self._token_groups)[..., None]).to(x.dtype)
