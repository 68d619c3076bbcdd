"""A bundle whose SAE reconstructs everything."""

from __future__ import annotations

from dataclasses import replace

import torch

from vla_sae_ros.sae import SaeBundle, TopKSAE


def perfect(bundle: SaeBundle) -> SaeBundle:
    """Return it with an SAE that has each axis and its negative as features, all of them active."""
    width = bundle.card.d_in
    rows = torch.cat([torch.eye(width), -torch.eye(width)])
    sae = TopKSAE(rows.T, torch.zeros(len(rows)), rows, torch.zeros(width), len(rows))
    card = replace(bundle.card, k=len(rows), dictionary_size=len(rows), normalization="none")
    return SaeBundle(sae, card, bundle.catalogue)
