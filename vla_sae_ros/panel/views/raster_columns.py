"""The pixels of the raster: all features, one column per inference. No Qt."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

WEAKEST = 40
"""Shade of the faintest activation that is not zero: it must not look like nothing."""

Shades = npt.NDArray[np.uint8]


def row_starts(features: int, most: int) -> npt.NDArray[np.int64]:
    """Return the first feature of each of at most `most` rows; rows differ by one in size."""
    rows = min(features, most)
    return np.arange(rows, dtype=np.int64) * features // max(rows, 1)


def shades(values: npt.NDArray[np.floating], starts: npt.NDArray[np.int64]) -> Shades:
    """Return one column of the raster.

    Args:
        values: (R,) activations in observed maxima; negative ones count by their size.
        starts: (P,) first feature of each row, ascending, from 0.

    Returns:
        (P,) uint8, the strongest feature of each row: 0 = silent, 255 = at its observed maximum
        or above. What is not zero is at least WEAKEST, so nothing vanishes.
    """
    strongest = np.maximum.reduceat(np.abs(values), starts)
    shade = WEAKEST + np.minimum(strongest, 1.0) * (255 - WEAKEST)
    return np.where(strongest > 0, shade, 0).astype(np.uint8)


class ShadeRing:
    """The newest columns; the oldest is overwritten."""

    def __init__(self, rows: int, columns: int) -> None:
        """Start silent.

        Args:
            rows: P.
            columns: rounded down to a multiple of four, as QImage wants its lines; at least four.
        """
        self.pixels: Shades = np.zeros((rows, max(columns // 4 * 4, 4)), np.uint8)
        self.written = 0

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.pixels.shape[1]

    @property
    def split(self) -> int:
        """Where the oldest column is: columns from here on come first, those before it after."""
        return self.written % self.columns

    def append(self, column: Shades) -> None:
        """Write the newest column."""
        self.pixels[:, self.split] = column
        self.written += 1

    def rewrite(self, column: Shades) -> None:
        """Write the newest column once more."""
        self.pixels[:, (self.written - 1) % self.columns] = column
