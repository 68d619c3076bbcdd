"""Several pictures as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
"""(H, W, 3) RGB."""


def side_by_side(pictures: Sequence[Picture]) -> Picture:
    """Return the pictures in one row, black under those that are lower than the highest."""
    height = max(picture.shape[0] for picture in pictures)
    row = np.zeros((height, sum(picture.shape[1] for picture in pictures), 3), np.uint8)
    left = 0
    for picture in pictures:
        row[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1]
    return row
