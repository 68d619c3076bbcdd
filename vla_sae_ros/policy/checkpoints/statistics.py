"""The statistics by which a policy's processors normalise: lerobot goes on without a word when they
are missing, and the policy then reads raw numbers."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import torch

from vla_sae_ros.core.errors import ConfigurationError, complaint

if TYPE_CHECKING:
    from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy

NEEDED = {
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}
"""lerobot's NormalizationMode -> the statistics that it divides by."""


def require_statistics(loaded: LoadedPolicy, inputs: Collection[str]) -> None:
    """Refuse a policy whose inputs or actions would pass its processors as they are.

    Args:
        loaded: the policy with its processors.
        inputs: policy features that are fed.

    Raises:
        ConfigurationError: naming what is missing and what is there.
    """
    # An own family's configuration may say nothing of its outputs, and its processors be functions.
    outputs = getattr(loaded.policy.config, "output_features", ())
    for processor, keys in ((loaded.preprocessor, inputs), (loaded.postprocessor, outputs)):
        for step in getattr(processor, "steps", ()):
            missing = sorted(_missing(step, keys))
            if missing:
                there = sorted(f"{key}.{name}" for key, one in step.stats.items() for name in one)
                raise ConfigurationError(
                    complaint(
                        f"normalisation statistics of {loaded.name}",
                        there or "none",
                        ", ".join(missing),
                        "Without them the policy would read or return raw numbers. A base model "
                        "has no statistics before it is fine-tuned. If they are stored under "
                        "another key, such as so100.buffer.observation.state, save the checkpoint "
                        "again with the statistics of its data set (dataset_stats of lerobot's "
                        "make_pre_post_processors).",
                    )
                )
            _require_sound(step, keys, loaded.name)


def _require_sound(step: Any, keys: Collection[str], policy: str) -> None:
    """Refuse statistics that are not finite, of another length than their feature, or turned."""
    for key, names in _normalised(step, keys):
        feature = step.features[key]
        low, high = (torch.as_tensor(step.stats[key][name]).double() for name in names)
        length = math.prod(feature.shape)
        if not bool(torch.isfinite(low).all() and torch.isfinite(high).all()):
            wrong = "NaN or infinite"
        elif feature.type.name != "VISUAL" and {low.numel(), high.numel()} != {length}:
            wrong = f"{low.numel()} and {high.numel()} numbers, and {length} to normalise"
        elif bool(((high if "std" in names else high - low) < 0).any()):
            wrong = "a spread below 0"
        else:
            continue
        raise ConfigurationError(
            complaint(
                f"statistics {' and '.join(names)} of {key} that {policy} normalises by",
                wrong,
                f"finite, one number for each of {key}",
                "Save the checkpoint again with the statistics of its own data set.",
            )
        )


def _missing(step: Any, keys: Collection[str]) -> Iterator[str]:
    for key, names in _normalised(step, keys):
        known = step.stats.get(key, {})
        yield from (f"{key}.{name}" for name in names if name not in known)


def _normalised(step: Any, keys: Collection[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what a step normalises, and the statistics that it does so by."""
    modes = {kind.name: mode.name for kind, mode in getattr(step, "norm_map", {}).items()}
    for key, feature in (getattr(step, "features", None) or {}).items():
        if key in keys and (names := NEEDED.get(modes.get(feature.type.name, ""), ())):
            yield key, names
