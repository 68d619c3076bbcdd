"""Stills on disk: blocks of staged pictures, each labelled for every instruction of its scene."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.journal import append_to_journal, read_journal
from vla_sae_ros.study.demonstrations.files import read_arrays, write_arrays

STILLS_INDEX = "stills.jsonl"


@dataclass(frozen=True)
class StillsInfo:
    """One line of the index: one file of P stills with I instructions and O objects."""

    file: str
    suite: str
    task_index: int
    init_state: int
    seed: int
    targets: tuple[str, ...]
    """(I,) what each instruction asks for."""
    instructions: tuple[str, ...]
    objects: tuple[str, ...]
    """(O,) everything that lies in the scene, the basket too."""
    stills: int


@dataclass(frozen=True)
class Stills:
    """The arrays of one file."""

    pictures: npt.NDArray[np.uint8]
    """(P, cameras, 128, 128, 3) RGB, cameras in the order of the environment."""
    states: npt.NDArray[np.float32]
    """(P, 8) as sim.conventions.libero_state."""
    chunks: npt.NDArray[np.float32]
    """(P, I, H, 7) what the expert would do from here on, for each instruction."""
    landmarks: npt.NDArray[np.float32]
    """(P, O, 3) every object relative to the hand, metres (privileged; for training only)."""
    pixels: npt.NDArray[np.float32]
    """(P, cameras, O, 2) column and row of every object's origin as shares of the picture's side;
    outside 0 to 1 when out of sight, nan when behind the camera (privileged)."""
    chosen: npt.NDArray[np.int32]
    """(P,) the instruction on whose way the hand is."""
    held: npt.NDArray[np.bool_]
    """(P,) whether the hand holds what that instruction asks for."""


def write_stills(folder: Path, info: StillsInfo, stills: Stills) -> None:
    """Write one file and add it to the index; an interrupted write leaves no half file."""
    write_arrays(folder / info.file, stills)
    append_to_journal(folder / STILLS_INDEX, asdict(info))


def read_stills_index(folder: Path) -> list[StillsInfo]:
    """Return what the folder holds of stills; nothing is no error."""
    return list(read_journal(folder / STILLS_INDEX, _info, damaged=ConfigurationError).entries)


def _info(fields: dict[str, Any]) -> StillsInfo:
    names = ("targets", "instructions", "objects")
    return StillsInfo(**(fields | {name: tuple(fields[name]) for name in names}))


def read_stills(folder: Path, info: StillsInfo) -> Stills:
    """Load one file's arrays."""
    return read_arrays(Stills, folder / info.file)
