"""Small pictures of collected episodes, for people: what the robot saw at each inference."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from vla_sae_ros.study.activation_format import CollectionError, write_whole

FRAMES_FOLDER = "frames"
_QUALITY = 80


def small_jpeg(picture: np.ndarray, height: int) -> bytes:
    """Return a picture (H, W, 3) uint8 as a JPEG of that height."""
    image = Image.fromarray(picture)
    image = image.resize((max(1, round(image.width * height / image.height)), height))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=_QUALITY)
    return data.getvalue()


def write_frames(folder: Path, episode_id: str, frames: dict[int, bytes]) -> None:
    """Write the pictures of one episode, by control step, as one file."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        for step, jpeg in frames.items():
            archive.writestr(f"{step:06d}.jpg", jpeg)
    (folder / FRAMES_FOLDER).mkdir(exist_ok=True)
    write_whole(_path(folder, episode_id), data.getvalue())


def read_frame(folder: Path, episode_id: str, step: int) -> bytes | None:
    """Return the JPEG of one inference; None where none was collected.

    Raises CollectionError for a damaged file.
    """
    path = _path(folder, episode_id)
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            name = f"{step:06d}.jpg"
            return archive.read(name) if name in archive.namelist() else None
    except (zipfile.BadZipFile, OSError) as error:
        raise CollectionError(
            f"The pictures {path} are damaged ({error}). Delete the file to go on without them."
        ) from error


def _path(folder: Path, episode_id: str) -> Path:
    return folder / FRAMES_FOLDER / f"{episode_id.replace('/', '_')}.zip"
