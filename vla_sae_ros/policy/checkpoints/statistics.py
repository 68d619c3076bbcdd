"""The statistics by which a policy's processors normalise: lerobot goes on without a word when they
are missing, and the policy then reads raw numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

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
                        f"statistics that {loaded.name} normalises by, without which it would read "
                        "or give raw numbers",
                        there or "none",
                        ", ".join(missing),
                        "A base model has none until it is fine-tuned; where they stand under "
                        "another key, as so100.buffer.observation.state, save the checkpoint again "
                        "with the statistics of the data set that it is used on (dataset_stats of "
                        "lerobot's make_pre_post_processors).",
                    )
                )


def _missing(step: Any, keys: Collection[str]) -> Iterator[str]:
    modes = {kind.name: mode.name for kind, mode in getattr(step, "norm_map", {}).items()}
    for key, feature in (getattr(step, "features", None) or {}).items():
        if key not in keys:
            continue
        known = step.stats.get(key, {})
        for name in NEEDED.get(modes.get(feature.type.name, ""), ()):
            if name not in known:
                yield f"{key}.{name}"
