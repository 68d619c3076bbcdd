"""A perceptually uniform colour map, so that equal steps of a value look like equal steps.

Colours are interpolated in OKLab (Bjoern Ottosson, "A perceptual color space for image
processing", 2020), where equal distances look equally different, and spaced evenly along the way.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# sRGB, dark to light: lightness only rises, so that the map also works in grey.
_ANCHORS = np.array([(20, 8, 48), (106, 26, 124), (208, 62, 98), (250, 150, 62), (252, 246, 180)])
_LINEAR_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LMS_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def to_oklab(colours: npt.ArrayLike) -> Floats:
    """Return OKLab (..., 3) of sRGB (..., 3) from 0 to 255."""
    srgb = np.asarray(colours, np.float64) / 255.0
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _LINEAR_TO_LMS.T) @ _LMS_TO_LAB.T


def from_oklab(lab: Floats) -> npt.NDArray[np.uint8]:
    """Return sRGB (..., 3) of OKLab (..., 3); what a screen cannot show is clipped."""
    linear = (lab @ np.linalg.inv(_LMS_TO_LAB).T) ** 3 @ np.linalg.inv(_LINEAR_TO_LMS).T
    linear = linear.clip(0.0, 1.0)
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(srgb * 255.0).astype(np.uint8)


@cache
def table() -> npt.NDArray[np.uint8]:
    """Return the (256, 3) sRGB colours of 0 to 1."""
    anchors = to_oklab(_ANCHORS)
    way = np.concatenate([[0.0], np.linalg.norm(np.diff(anchors, axis=0), axis=1).cumsum()])
    even = np.linspace(0.0, way[-1], 256)
    return from_oklab(np.stack([np.interp(even, way, anchors[:, n]) for n in range(3)], axis=-1))


def colours(values: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Return the colours (..., 3) of values (...) from 0 to 1; values outside get the ends."""
    return table()[np.round(np.clip(values, 0.0, 1.0) * 255.0).astype(np.int64)]
