"""What drew the pictures of a training set or of a policy's training, as a file beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError, complaint

PICTURES_FILE = "pictures.json"


@dataclass(frozen=True)
class PictureRecord:
    """Pictures of two records are not the same world's."""

    render_quality: str
    """"full" or "quick", as LiberoEnvironment knows it."""
    mujoco: str
    """The version that drew and settled the scene."""

    def __str__(self) -> str:
        return f"{self.render_quality} quality, MuJoCo {self.mujoco}"


def read_picture_record(folder: Path) -> PictureRecord | None:
    """Return a folder's record; None of a folder that says nothing about its pictures."""
    path = folder / PICTURES_FILE
    if not path.is_file():
        return None
    return PictureRecord(**json.loads(path.read_text(encoding="utf-8")))


def write_picture_record(folder: Path, record: PictureRecord) -> None:
    """Write the record, and make the folder.

    Raises ConfigurationError when the folder already holds another one: its pictures would mix.
    """
    there = read_picture_record(folder)
    if there not in (None, record):
        raise ConfigurationError(
            complaint(
                f"{folder} holds pictures of another kind",
                str(there),
                str(record),
                "Choose another folder.",
            )
        )
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(record), indent=2) + "\n"
    (folder / PICTURES_FILE).write_text(text, encoding="utf-8")


def common_record(folders: Sequence[Path]) -> PictureRecord | None:
    """Return what drew all the folders' pictures; None when no folder says.

    Raises ConfigurationError when they differ: a policy must not learn from both.
    """
    records = {folder: read_picture_record(folder) for folder in folders}
    if len(set(records.values())) > 1:
        listing = ", ".join(f"{path}: {record or 'unknown'}" for path, record in records.items())
        raise ConfigurationError(
            complaint(
                "Pictures of different kinds cannot be mixed",
                listing,
                "folders whose pictures were drawn alike",
            )
        )
    return next(iter(records.values()), None)
