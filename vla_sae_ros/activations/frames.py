"""Small pictures of collected episodes, for people: what the robot saw at each inference."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from vla_sae_ros.activations.archive import read_archived
from vla_sae_ros.core.side_by_side import side_by_side

FRAMES_FOLDER = "frames"
_QUALITY = 80


def frame_name(step: int) -> str:
    """Return the name of an inference's picture in its episode's archive."""
    return f"{step:06d}.jpg"


def small_jpeg(pictures: Sequence[np.ndarray], height: int) -> bytes:
    """Return pictures (H, W, 3) uint8, side by side, as a JPEG of that height."""
    images = [Image.fromarray(picture) for picture in pictures]
    shrunk = [
        image.resize((max(1, round(image.width * height / image.height)), height))
        for image in images
    ]
    return jpeg(side_by_side([np.asarray(image) for image in shrunk]))


def jpeg(picture: np.ndarray) -> bytes:
    """Return a picture (H, W, 3) uint8 as a JPEG."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "JPEG", quality=_QUALITY)
    return data.getvalue()


def read_frame(folder: Path, episode_id: str, step: int) -> bytes | None:
    """Return the JPEG of one inference; None where none was collected.

    Raises CollectionError for a damaged file.
    """
    return read_archived(folder, FRAMES_FOLDER, episode_id, frame_name(step))
