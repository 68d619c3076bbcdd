"""Demonstrations on disk: one .npz per episode and an index that says what each one is."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.journal import append_to_journal, read_journal
from vla_sae_ros.core.whole_file import whole_file

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

INDEX_NAME = "index.jsonl"


@dataclass(frozen=True)
class EpisodeInfo:
    """One line of the index."""

    file: str
    suite: str
    task_index: int
    instruction: str
    target: str
    init_state: int
    seed: int
    moved_m: float
    exchanged: tuple[str, str] | None
    source: str
    """"expert" or "dagger": who drove; the labels are the expert's either way."""
    steps: int
    success: bool
    shuffled: bool = False
    """Everything but the basket had changed places."""


@dataclass(frozen=True)
class Episode:
    """The arrays of one episode of T control steps with P pictures."""

    pictures: npt.NDArray[np.uint8]
    """(P, cameras, 128, 128, 3) RGB, cameras in the order of the environment."""
    picture_steps: npt.NDArray[np.int32]
    """(P,) the control step each picture was taken before."""
    states: npt.NDArray[np.float32]
    """(T, 8) as sim.conventions.libero_state."""
    labels: npt.NDArray[np.float32]
    """(T, 7) what the expert would do in each state."""
    executed: npt.NDArray[np.float32]
    """(T, 7) what was done."""
    pushed: npt.NDArray[np.bool_]
    """(T,) whether the executed action ignored the expert."""
    landmarks: npt.NDArray[np.float32]
    """(T, 6) target and basket relative to the hand, metres (privileged; for training only)."""


def write_episode(folder: Path, info: EpisodeInfo, episode: Episode) -> None:
    """Write one episode and add it to the index; an interrupted write leaves no half file."""
    write_arrays(folder / info.file, episode)
    append_to_journal(folder / INDEX_NAME, asdict(info))


def write_arrays(path: Path, arrays: DataclassInstance) -> None:
    """Write the fields of a dataclass, all arrays, as one whole .npz file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part, part.open("wb") as stream:
        np.savez(stream, **{one.name: getattr(arrays, one.name) for one in fields(arrays)})


def read_arrays[T: DataclassInstance](kind: type[T], path: Path) -> T:
    """Load what `write_arrays` wrote of a dataclass of this kind.

    Raises ConfigurationError for a damaged file, or one of something else.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return kind(**{one.name: archive[one.name] for one in fields(kind)})
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ConfigurationError(
            f"{path} is damaged, or no file of demonstrations ({type(error).__name__}: {error}). "
            "Copy it again, or remove it and its line of the folder's index and make it again."
        ) from error


def read_index(folder: Path) -> list[EpisodeInfo]:
    """Return what the folder holds; raises ConfigurationError when it holds no demonstrations."""
    path = folder / INDEX_NAME
    if not path.is_file():
        raise ConfigurationError(
            f"{folder} contains no demonstrations ({INDEX_NAME} is missing). Make some with: "
            "vla-sae demos --out " + str(folder)
        )
    return list(read_journal(path, _info, damaged=ConfigurationError).entries)


def _info(entry: dict[str, Any]) -> EpisodeInfo:
    exchanged = entry.pop("exchanged")
    return EpisodeInfo(**entry, exchanged=tuple(exchanged) if exchanged else None)


def read_episode(folder: Path, info: EpisodeInfo) -> Episode:
    """Load one episode's arrays."""
    return read_arrays(Episode, folder / info.file)
