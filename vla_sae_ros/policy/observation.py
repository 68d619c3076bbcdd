"""Checks on the observations that an engine is given."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from vla_sae_ros.core.errors import ObservationError, complaint


def require_features(frame: Mapping[str, np.ndarray], features: Collection[str]) -> None:
    """Raise ObservationError naming the features that the frame lacks."""
    missing = sorted(set(features) - set(frame))
    if missing:
        raise ObservationError(
            complaint(
                f"features missing from the frame: {', '.join(missing)}",
                sorted(frame),
                sorted(features),
            )
        )


def require_picture(key: str, value: np.ndarray) -> None:
    """Raise ObservationError unless the value is a picture (H, W, 3) uint8."""
    if value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] != 3:
        raise ObservationError(
            complaint(f"picture {key}", (value.dtype, value.shape), "(H, W, 3) uint8")
        )


def require_vector(key: str, value: np.ndarray, size: int) -> None:
    """Raise ObservationError unless the value is (size,) finite numbers."""
    if value.shape != (size,) or not np.isfinite(value).all():
        raise ObservationError(complaint(f"vector {key}", value, f"{size} finite numbers"))
