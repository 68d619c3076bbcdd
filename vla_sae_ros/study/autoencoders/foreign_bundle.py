"""A bundle out of somebody else's autoencoder, with what collected activations tell about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vla_sae_ros.activations.codes import check_collected_for
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.sae import SaeBundle, SparseAutoencoder
from vla_sae_ros.sae.bundle import BundleCard
from vla_sae_ros.sae.formats.loading import detect
from vla_sae_ros.sae.training.metrics import evaluate, sink_metrics
from vla_sae_ros.study.features.feature_statistics import FeatureStatistics, feature_statistics


@dataclass(frozen=True)
class SaeOrigin:
    """Where a foreign autoencoder is said to belong; its checkpoint does not know.

    pooling: "mean" or "token". token_groups: what it reads; empty = all of the site.
    """

    policy_id: str
    policy_name: str
    site: Site
    pooling: str
    token_groups: tuple[str, ...] = ()


def bundle_at(sae: SparseAutoencoder, origin: SaeOrigin, checkpoint: Path) -> SaeBundle:
    """Return a bundle without observed maxima and mean residual norm: nobody measured them.

    Raises:
        ConfigurationError: the site has another width, or not those token groups.
    """
    site = origin.site
    if sae.d_in != site.width:
        raise ConfigurationError(
            f"The SAE in {checkpoint} reads a residual stream of width {sae.d_in}, but "
            f"{site.name} of {origin.policy_name} has width {site.width}. Name the site it was "
            "trained on."
        )
    _check_groups(origin.token_groups, site)
    card = BundleCard(
        policy_id=origin.policy_id,
        policy_name=origin.policy_name,
        site=site.name,
        d_in=sae.d_in,
        dictionary_size=sae.dictionary_size,
        k=sae.k,
        pooling=origin.pooling,
        token_groups=origin.token_groups or site.token_groups,
        normalization=sae.normalization,
        mean_residual_norm=math.nan,
        mean_scale=1.0 if sae.normalization == "none" else math.nan,
        data={"converted_from": {"format": detect(checkpoint).name, "folder": checkpoint.name}},
    )
    return SaeBundle(sae, card, Catalogue(site.name, ()))


def measured(bundle: SaeBundle, dataset: ActivationDataset, max_fvu: float) -> SaeBundle:
    """Return the bundle with observed maxima, norms and metrics over collected activations.

    Args:
        bundle: as `bundle_at` makes it.
        dataset: collected at the bundle's site from its policy.
        max_fvu: refuse an autoencoder that leaves more of the variance unexplained.

    Raises:
        ConfigurationError: activations of another policy, site, pooling or tokens, or too large an
            FVU: the sign of a wrong site, pooling or scaling.
    """
    check_collected_for(bundle, dataset)
    site = bundle.card.site
    groups = dataset.collection.sites[site].token_groups
    if set(groups) != set(bundle.card.token_groups):
        raise ConfigurationError(
            complaint(
                f"token groups of {site} in {dataset.folder}",
                groups,
                f"{bundle.card.token_groups}, which the SAE reads",
                "Give --token-groups, or collect those.",
            )
        )
    data = dataset.load(site)
    metrics = evaluate(bundle.sae, data.rows)
    if not metrics.fvu_ordinary <= max_fvu:
        raise ConfigurationError(
            f"At {site} this SAE leaves FVU {metrics.fvu_ordinary:.3f} of the variance unexplained "
            f"(allowed: up to {max_fvu:g}; 1 is what predicting the mean leaves). It was probably "
            "trained on another site, policy, pooling or scaling of the activations. Check these, "
            "or raise --max-fvu."
        )
    norm, norm_over = data.mean_residual_norm(metrics.mean_norm)
    card = replace(
        bundle.card,
        mean_residual_norm=norm,
        mean_scale=metrics.mean_scale,
        data={
            **bundle.card.data,
            "measured_on": {
                "samples": len(data.rows),
                "episodes": len(dataset.episodes),
                "instructions": sorted({one.instruction for one in dataset.episodes}),
            },
            "mean_residual_norm_over": norm_over,
        },
        metrics={
            "fvu": metrics.fvu,
            "l0": metrics.l0,
            "dead_share": metrics.dead_share,
            **sink_metrics(metrics),
        },
    )
    statistics = feature_statistics(bundle.sae, data)
    return SaeBundle(bundle.sae, card, Catalogue(site, _entries(statistics)))


def _entries(statistics: FeatureStatistics) -> list[FeatureEntry]:
    return [
        FeatureEntry(
            feature,
            feature_class="" if largest > 0 else "dead",
            observed_max=float(largest),
            coverage=float(statistics.coverage[feature]),
            density=float(statistics.density[feature]),
        )
        for feature, largest in enumerate(statistics.observed_max)
    ]


def _check_groups(given: Sequence[str], site: Site) -> None:
    unknown = [group for group in given if group not in site.token_groups]
    if unknown:
        raise ConfigurationError(
            complaint(f"token groups of {site.name}", unknown, site.token_groups)
        )
