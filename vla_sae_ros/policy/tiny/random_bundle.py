"""A random SAE: it means nothing, but features stream, and steering them changes the actions."""

from __future__ import annotations

import torch

from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.sae import SaeBundle, TopKSAE
from vla_sae_ros.sae.bundle import BundleCard

FEATURES, K = 256, 16


def random_bundle(policy_id: str, site: str, width: int, seed: int = 0) -> SaeBundle:
    """Return a bundle for a site whose residual stream is (..., width)."""
    draw = torch.Generator().manual_seed(seed)
    decoder = torch.nn.functional.normalize(torch.randn(FEATURES, width, generator=draw), dim=1)
    sae = TopKSAE(
        decoder.T.contiguous(), torch.zeros(FEATURES), decoder, torch.zeros(width), K, "none"
    )
    card = BundleCard(
        policy_id,
        "rehearsal",
        site,
        width,
        FEATURES,
        K,
        "mean",
        ("camera", "language"),
        "none",
        width**0.5,
        1.0,
        {"source": "random, for rehearsals"},
        {},
    )
    entries = [FeatureEntry(feature, observed_max=2.0) for feature in range(FEATURES)]
    return SaeBundle(sae, card, Catalogue(site, entries))
