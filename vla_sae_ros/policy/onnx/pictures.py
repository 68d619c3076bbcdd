"""Pictures as SmolVLA wants them: fitted into a frame, padding left and above, in [-1, 1]."""

from __future__ import annotations

import numpy as np


def fitted(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 as (1, 3, h, w) float32 in [-1, 1].

    size: (h, w) to fit it into without distortion; what is left over, at the left and above, is
    black.
    """
    scaled = picture.astype(np.float32) / np.float32(255.0)
    if picture.shape[:2] != size:
        scaled = _padded(_resized(scaled, _inner_size(picture.shape[:2], size)), size)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None]) * np.float32(2) - np.float32(1)


def _inner_size(given: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int]:
    ratio = max(given[1] / size[1], given[0] / size[0])
    return int(given[0] / ratio), int(given[1] / ratio)


def _padded(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    above, left = size[0] - picture.shape[0], size[1] - picture.shape[1]
    return np.pad(picture, ((above, 0), (left, 0), (0, 0)))


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
