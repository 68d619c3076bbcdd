"""Which features a plot or a video shows, and in which unit."""

from __future__ import annotations

from collections.abc import Mapping

from vla_sae_ros.bags.episode_trace import EpisodeTrace
from vla_sae_ros.core.catalogue import Catalogue

FeatureName = tuple[str, int]
"""(site, feature)."""


def chosen_features(
    trace: EpisodeTrace, catalogues: Mapping[str, Catalogue], count: int
) -> list[FeatureName]:
    """Return the edited features and then the most active others, `count` at most.

    Activity is the mean natural activation, in multiples of the observed maximum where known: what
    fires once, and hardest under steering, says little about the rollout.
    """
    edited = [
        (site, feature) for site, stream in trace.features.items() for feature in stream.edited()
    ]
    activity: dict[FeatureName, float] = {}
    for site, stream in trace.features.items():
        for feature, mean in stream.means().items():
            unit = observed_max(catalogues, (site, feature)) or 1.0
            activity[site, feature] = mean / unit
    ranked = sorted(activity, key=lambda name: (-activity[name], name))
    return (edited + [name for name in ranked if name not in edited])[:count]


def observed_max(catalogues: Mapping[str, Catalogue], name: FeatureName) -> float | None:
    """Return the largest activation seen in the SAE's data; None when unknown or zero."""
    catalogue = catalogues.get(name[0])
    entry = catalogue.get(name[1]) if catalogue else None
    return entry.observed_max if entry and entry.observed_max > 0 else None
