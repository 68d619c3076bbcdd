"""What an autoencoder is trained on: rows that may lie in memory or in files."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from vla_sae_ros.core.errors import ConfigurationError, complaint

_CHECKED_AT_ONCE = 65536


class Samples(Protocol):
    """n rows of width d; an (n, d) float32 array or memory map is one.

    One with an attribute `known_finite` that is true was looked through already.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, d)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return the rows of a slice or of an ascending integer array."""


def check_samples(samples: Samples) -> None:
    """Raise ConfigurationError unless the samples are at least two finite rows."""
    if len(samples.shape) != 2 or len(samples) < 2:
        raise ConfigurationError(
            complaint("shape of the samples to train on", samples.shape, "(n >= 2, d)")
        )
    if getattr(samples, "known_finite", False):
        return
    for start in range(0, len(samples), _CHECKED_AT_ONCE):
        finite = np.isfinite(samples[start : start + _CHECKED_AT_ONCE]).all(axis=1)
        if not finite.all():
            row = start + int(np.argmin(finite))
            raise ConfigurationError(
                f"Sample {row} of {len(samples)} contains NaN or infinity. Collect the activations "
                "again; a policy that computes NaN cannot be studied."
            )
