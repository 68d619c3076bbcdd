"""Which features a study steers, and which others stand against them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.experiment.design.study_parts import Controls, Features


@dataclass(frozen=True)
class ChosenControls:
    """Features of one site that stand against the studied ones: alive ones, and bare rows."""

    alive: tuple[int, ...]
    rows: tuple[int, ...]


def chosen(features: Features, bundle: SaeBundle, seed: int) -> dict[int, str]:
    """Return the features with their labels, in the order asked for.

    Raises:
        ConfigurationError: an unknown feature, or fewer of a kind than asked for.
    """
    ids = _ids(features, bundle, seed)
    size = bundle.sae.dictionary_size
    unknown = [one for one in ids if not 0 <= one < size]
    if unknown or len(set(ids)) != len(ids):
        raise ConfigurationError(
            complaint(f"features of {features.site}", unknown or ids, f"0 to {size - 1}, each once")
        )
    return {one: features.labels.get(one) or _label(bundle, one) for one in ids}


def chosen_controls(bundle: SaeBundle, studied: set[int], controls: Controls) -> ChosenControls:
    """Draw the controls of one site; none is studied, and none is in both, while there are enough.

    Raises:
        ConfigurationError: the SAE has fewer features than are asked for.
    """
    generator = np.random.default_rng([controls.seed, 1])
    norms = bundle.sae.W_dec.detach().norm(dim=1).cpu().numpy()
    alive = _drawn(generator, alive_features(bundle), studied, controls.alive, bundle)
    rows = np.flatnonzero(norms > 0).tolist()
    return ChosenControls(
        alive, _drawn(generator, rows, studied | set(alive), controls.rows, bundle)
    )


def top_general(bundle: SaeBundle, count: int) -> tuple[int, ...]:
    """Return the features of the highest probability to be general, highest first."""
    entries = [one for one in bundle.catalogue.entries if one.feature_class == "general"]
    ranked = sorted(entries, key=lambda one: (-one.general_probability, one.feature))
    return _enough(tuple(one.feature for one in ranked), count, "general", bundle)[:count]


def random_of_class(
    bundle: SaeBundle, name: str, count: int, seed: int, without: tuple[int, ...] = ()
) -> tuple[int, ...]:
    """Draw features of a class ("any": all that are alive); the same every time."""
    entries = bundle.catalogue.entries
    of_class = (
        alive_features(bundle)
        if name == "any"
        else [one.feature for one in entries if one.feature_class == name]
    )
    left = [one for one in of_class if one not in without]
    generator = np.random.default_rng([seed, 2])
    drawn = tuple(int(one) for one in generator.permutation(left))
    return _enough(drawn, count, name, bundle)[:count]


def alive_features(bundle: SaeBundle) -> list[int]:
    """Return the features that fired in the SAE's data."""
    return [int(one) for one in np.flatnonzero(bundle.observed_max > 0)]


def _ids(features: Features, bundle: SaeBundle, seed: int) -> tuple[int, ...]:
    if features.ids or features.labels:
        return features.ids or tuple(features.labels)
    if features.top_general:
        return top_general(bundle, features.top_general)
    for name in ("general", "memorized"):
        count = getattr(features, f"random_{name}")
        if count:
            return random_of_class(bundle, name, count, seed)
    entries = bundle.catalogue.entries
    if features.labelled:
        return _enough(tuple(one.feature for one in entries if one.label), 1, "labelled", bundle)
    return _enough(tuple(alive_features(bundle)), 1, "alive", bundle)


def _label(bundle: SaeBundle, feature: int) -> str:
    entry = bundle.catalogue.get(feature)
    return entry.label if entry else ""


def _drawn(
    generator: np.random.Generator, pool: list[int], taken: set[int], count: int, bundle: SaeBundle
) -> tuple[int, ...]:
    """Draw from what is not taken; where that is too little, as with `all`, from everything."""
    drawn = [int(one) for one in generator.permutation(pool)]
    free = [one for one in drawn if one not in taken]
    return _enough(tuple(free if len(free) >= count else drawn), count, "usable", bundle)[:count]


def _enough(found: tuple[int, ...], count: int, kind: str, bundle: SaeBundle) -> tuple[int, ...]:
    if len(found) < count:
        raise ConfigurationError(
            complaint(
                f"{kind} features of {bundle.card.site}",
                f"{count} asked for",
                f"up to {len(found)}",
                "Ask for fewer, or classify them: vla-sae classify.",
            )
        )
    return found
