"""How arrays of a frame are declared to a LeRobotDataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


def features_of(frame: Mapping[str, np.ndarray]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each key's declaration: (height, width, 3) arrays are pictures, (n,) are vectors."""
    for key, value in frame.items():
        if value.ndim == 3:
            yield (
                key,
                {"dtype": "image", "shape": value.shape, "names": ["height", "width", "channels"]},
            )
        else:
            yield key, vector(len(value))


def vector(size: int) -> dict[str, Any]:
    """Return the declaration of `size` float32 numbers."""
    return {"dtype": "float32", "shape": (size,), "names": None}
