"""What a policy's residual stream was at some sites in the last inference, to be written down."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from vla_sae_ros.activations.format import CollectedSite
from vla_sae_ros.policy.engine import PolicyEngine


class SiteProbes:
    """A probe on each of some sites.

    Args:
        engine: gets the probes.
        sites: site names.
        pooling: "mean" or "token".

    Attributes:
        sites: what is read, by site name.

    Raises:
        ConfigurationError: an unknown site.
    """

    def __init__(self, engine: PolicyEngine, sites: Sequence[str], pooling: str) -> None:
        self._read: dict[str, tuple[Tensor, float]] = {}
        self.sites: dict[str, CollectedSite] = {}
        for name in sites:
            site = engine.attach_probe(name, pooling == "mean", partial(self._keep, name))
            self.sites[name] = CollectedSite(site.width, pooling, site.token_groups)

    def take(self) -> dict[str, tuple[Tensor, float]]:
        """Return site -> (activations, mean ||x||) of the last inference, once.

        Activations are (d,) pooled or (tokens, d); a site that did not run is missing.
        """
        taken, self._read = self._read, {}
        return taken

    def _keep(self, site: str, read: Tensor, norm: float) -> None:
        self._read[site] = (read, norm)
