"""Pictures as policies want them: fitted into a frame, padded with black, in [-1, 1]."""

from __future__ import annotations

import numpy as np

from vla_sae_ros.policy.families.patches import PixelBox, padded_all_round, padded_left_top
from vla_sae_ros.policy.onnx.names import ALL_ROUND, LEFT_ABOVE

_FITS = {LEFT_ABOVE: padded_left_top, ALL_ROUND: padded_all_round}


def fitted(picture: np.ndarray, size: tuple[int, int], fit: str) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 as (1, 3, h, w) float32 in [-1, 1].

    size: (h, w) to fit it into without distortion; what is left over is black.
    fit: where that is, one of `names.PICTURE_FITS`.
    """
    scaled = picture.astype(np.float32) / np.float32(255.0)
    if picture.shape[:2] != size:
        height, width = picture.shape[:2]
        scaled = _placed(scaled, size, _FITS[fit]((height, width), size))
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None]) * np.float32(2) - np.float32(1)


def _placed(picture: np.ndarray, size: tuple[int, int], box: PixelBox) -> np.ndarray:
    rows, columns = box.slices()
    placed = np.zeros((*size, 3), np.float32)
    inner = (rows.stop - rows.start, columns.stop - columns.start)
    placed[rows, columns] = _resized(picture, inner)
    return placed


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Interpolate linearly between pixel centres, as torch's bilinear without corner alignment."""
    below, above, weight = _neighbours(picture.shape[0], size[0])
    weight = weight[:, None, None]
    rows = picture[below] * (1 - weight) + picture[above] * weight
    left, right, weight = _neighbours(picture.shape[1], size[1])
    weight = weight[:, None]
    return np.asarray(rows[:, left] * (1 - weight) + rows[:, right] * weight)


def _neighbours(given: int, wanted: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each wanted pixel the two given ones around it and the second one's weight."""
    half = np.float32(0.5)  # in float32, as torch computes it: a weight may be 1e-5 off otherwise
    centre = (np.arange(wanted, dtype=np.float32) + half) * np.float32(given / wanted) - half
    centre = np.maximum(centre, np.float32(0))
    first = np.minimum(centre.astype(np.int64), given - 1)
    return first, np.minimum(first + 1, given - 1), (centre - first).astype(np.float32)
