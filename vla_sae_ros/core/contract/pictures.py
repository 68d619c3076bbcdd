"""Pictures as cameras send them: compressed, and of any size."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from vla_sae_ros.core.errors import ObservationError, complaint
from vla_sae_ros.core.shapes import Picture

FORMATS = ("JPEG", "PNG")
LARGEST_PICTURE = 8192 * 8192
"""Pixels; a header that claims more is refused before it is decoded."""
WIDE = "I"
"""How Pillow's modes of more than 8 bits per channel begin, of what PNG has."""
_DAMAGED = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    Image.DecompressionBombError,
)
"""What Pillow raises at bytes that are no picture, or one larger than it decodes."""


@dataclass(frozen=True)
class CompressedPicture:
    """A sensor_msgs/CompressedImage that has not been decoded yet."""

    data: bytes
    format: str
    """As the message names it; what the data are is told by themselves."""
    topic: str

    def decoded(self) -> Picture:
        """Return (height, width, 3) uint8 RGB; raises ObservationError for what is no JPEG or PNG,
        and for 16 bits in one channel: that is depth, which would be cut off to white.

        Both formats say themselves how their channels are ordered, so the bgr8 that image_transport
        writes into `format` does not matter here.
        """
        try:
            with Image.open(io.BytesIO(self.data), formats=FORMATS) as picture:
                if picture.width * picture.height > LARGEST_PICTURE:
                    raise ObservationError(
                        complaint(
                            f"size of a compressed picture on {self.topic}",
                            picture.size,
                            f"up to {LARGEST_PICTURE} pixels",
                        )
                    )
                if picture.mode.startswith(WIDE):
                    raise ObservationError(
                        complaint(
                            f"pixels of a compressed picture on {self.topic}",
                            f"{picture.mode} ({self.format})",
                            "8 bits per channel, no depth",
                        )
                    )
                return np.asarray(picture.convert("RGB"))
        except _DAMAGED as error:
            raise ObservationError(
                complaint(
                    f"A compressed picture on {self.topic} ({len(self.data)} bytes)",
                    self.format,
                    " or ".join(FORMATS),
                    f"Decoder error: {error}.",
                )
            ) from error


def resized_with_pad(picture: Picture, height: int, width: int) -> Picture:
    """Fit a picture (H, W, 3) into (height, width, 3) without distortion, centred, padded black.

    Bilinear with anti-aliasing; the inner size is rounded down and an odd rest goes below and to
    the right, as openpi's client prepares pictures for its DROID policies
    (openpi_client/image_tools.py, resize_with_pad).
    """
    rows, columns = picture.shape[:2]
    if (rows, columns) == (height, width):
        return picture
    ratio = max(columns / width, rows / height)
    inner = Image.fromarray(np.ascontiguousarray(picture)).resize(
        (max(1, int(columns / ratio)), max(1, int(rows / ratio))), Image.Resampling.BILINEAR
    )
    whole = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner.height) // 2, (width - inner.width) // 2
    whole[top : top + inner.height, left : left + inner.width] = np.asarray(inner)
    return whole
