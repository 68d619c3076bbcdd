"""Directions that are no features, steered through the very path that steers features.

A tap changes the residual stream by (z' - z) times a decoder row. To steer along another direction
its decoder row is replaced, and nothing else: what is read, by how much the stream changes, where
and under which cap stays the feature's. A site without an SAE gets one that reads nothing.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.sae import SaeBundle, TopKSAE
from vla_sae_ros.sae.bundle import BundleCard

Vector = npt.NDArray[np.floating]


def redirected(bundle: SaeBundle, directions: Mapping[int, Vector]) -> SaeBundle:
    """Return the bundle with features that push along other directions, as far as before.

    Args:
        bundle: stays as it is.
        directions: feature -> (d,), any length above 0; the feature's decoder row becomes this
            direction at the row's own length. The encoder, and so every activation, stays.

    Raises:
        ConfigurationError: an unknown feature, or a direction that is none.
    """
    sae = copy.deepcopy(bundle.sae)
    rows = sae.W_dec.detach()
    for feature, direction in directions.items():
        if not 0 <= feature < len(rows):
            raise ConfigurationError(complaint("feature", feature, f"0 to {len(rows) - 1}"))
        rows[feature] = _unit(direction, rows.shape[1]).to(rows.device) * rows[feature].norm()
    return SaeBundle(sae, bundle.card, bundle.catalogue)


def direction_bundle(site: Site, directions: Vector, policy_id: str, policy: str) -> SaeBundle:
    """Return a bundle whose "features" are bare directions: nothing is read, z is always 0.

    An add of v moves every token along its direction by v / sqrt(d) times that token's own ||x||,
    so that sites of any scale are steered equally hard. In units of the mean residual norm an add
    of s moves by s ||x||.

    Args:
        site: any site of the policy, also one that an operator may not steer.
        directions: (n, d), any lengths above 0.
        policy_id, policy: of the policy it is for.

    Raises:
        ConfigurationError: a direction that is none.
    """
    rows = torch.stack([_unit(direction, site.width) for direction in directions])
    nothing, zero = torch.zeros(site.width, len(rows)), torch.zeros(site.width)
    sae = TopKSAE(nothing, torch.zeros(len(rows)), rows, zero, 1, "constant_norm_rescale")
    card = BundleCard(
        policy_id,
        policy,
        site.name,
        site.width,
        len(rows),
        1,
        "token",
        site.token_groups,
        "constant_norm_rescale",
        1.0,
        1.0 / math.sqrt(site.width),
    )
    return SaeBundle(sae, card, Catalogue(site.name, ()))


def gaussian_direction(width: int, seed: int, number: int) -> Vector:
    """Return a unit vector (width,) float64, uniform over all directions; the same every time."""
    drawn = np.random.default_rng(np.random.SeedSequence([seed, number, width])).normal(size=width)
    return np.asarray(drawn / np.linalg.norm(drawn))


def _unit(direction: Vector, width: int) -> torch.Tensor:
    vector = torch.as_tensor(np.asarray(direction), dtype=torch.float64)
    norm = float(vector.norm()) if vector.shape == (width,) else math.nan
    if not 0.0 < norm < math.inf:
        got = f"{tuple(vector.shape)} of norm {norm:g}"
        raise ConfigurationError(complaint("a direction", got, f"({width},) of a norm above 0"))
    return (vector / norm).to(torch.float32)
