"""What drew the pictures of a training set or of a policy's training, as a file beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, Protocol, get_args, runtime_checkable

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.json_document import parse_json

PICTURES_FILE = "pictures.json"

Quality = Literal["quick", "full"]
QUALITIES: tuple[Quality, ...] = get_args(Quality)
ALLOWED = "allow_other_pictures"
"""The parameter of nodes and systems, and the option --allow-other-pictures, that tells them to go
on with pictures of another quality than the policy was trained on."""


@dataclass(frozen=True)
class PictureRecord:
    """Pictures of two records are not the same world's."""

    render_quality: str
    """"full" or "quick", as LiberoEnvironment knows it."""
    mujoco: str
    """The version that drew and settled the scene."""

    def __str__(self) -> str:
        return f"{self.render_quality} quality, MuJoCo {self.mujoco}"


@runtime_checkable
class RecordsPictures(Protocol):
    """An environment that knows what draws its pictures."""

    @property
    def picture_record(self) -> PictureRecord: ...


def installed_record(quality: Quality) -> PictureRecord:
    """Return what draws pictures of this quality here; MuJoCo itself is not imported."""
    try:
        return PictureRecord(quality, version("mujoco"))
    except PackageNotFoundError:  # a computer without the simulator
        return PictureRecord(quality, "not installed")


def read_picture_record(folder: Path) -> PictureRecord | None:
    """Return a folder's record; None of a folder that says nothing about its pictures.

    Raises ConfigurationError for a file that is no such record.
    """
    path = folder / PICTURES_FILE
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        record = PictureRecord(**parse_json(text))
    except (ValueError, TypeError):
        record = None
    if record is None or record.render_quality not in QUALITIES or type(record.mujoco) is not str:
        raise ConfigurationError(
            complaint(
                f"description of the rendering in {path}",
                text[:100],
                '{"render_quality": "full" or "quick", "mujoco": a version}',
                "Restore the file, or delete it; the rendering is then unknown.",
            )
        )
    return record


def write_picture_record(folder: Path, record: PictureRecord) -> None:
    """Write the record, and make the folder.

    Raises ConfigurationError when the folder already holds another one: its pictures would mix.
    """
    there = read_picture_record(folder)
    if there not in (None, record):
        raise ConfigurationError(
            complaint(
                f"{folder} contains pictures that were rendered differently",
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
                "Pictures that were rendered differently cannot be mixed",
                listing,
                "folders whose pictures were rendered in the same way",
            )
        )
    return next(iter(records.values()), None)


def check_pictures(
    trained: PictureRecord | None, drawn: PictureRecord, allowed: bool, remedy: str
) -> str:
    """Compare what a policy was trained on with what it is to be shown; return a warning, or "".

    Args:
        trained: of the policy's folder; None where that says nothing.
        drawn: what draws the pictures now.
        allowed: go on with pictures of another quality, too.
        remedy: what to do about another quality, for people.

    Raises:
        ConfigurationError: pictures of another quality, and nobody allowed it.
    """
    if trained is None:
        if drawn.render_quality == "full":
            return ""
        return (
            "the policy's folder does not record how its training pictures were rendered; its "
            f"input is {drawn}."
        )
    if trained.render_quality != drawn.render_quality:
        if not allowed:
            raise ConfigurationError(
                complaint(
                    "pictures of another render quality than the policy was trained on",
                    drawn.render_quality,
                    trained.render_quality,
                    remedy,
                )
            )
        return f"the policy was trained on pictures of {trained}; its input is {drawn}."
    if trained.mujoco != drawn.mujoco:
        return (
            f"the policy was trained on pictures of MuJoCo {trained.mujoco}; this machine has "
            f"MuJoCo {drawn.mujoco}, so scenes may look different and objects may come to rest "
            "elsewhere."
        )
    return ""
