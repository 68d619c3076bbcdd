"""Demonstrations and stills as one training set in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sim.boxes import kind_of
from vla_sae_ros.study.demonstrations.files import INDEX_NAME, Episode, read_episode, read_index
from vla_sae_ros.study.demonstrations.still_files import (
    Stills,
    StillsInfo,
    read_stills,
    read_stills_index,
)

STATE_STD_FLOOR = 0.01
ACTION_STD_FLOOR = 0.15
"""Else a nearly constant dimension (the hand's rotation) would be all noise and count fully."""
LANDMARK_SCALE_M = 0.1
KINDS = (
    "alphabet_soup",
    "basket",
    "bbq_sauce",
    "butter",
    "chocolate_pudding",
    "cream_cheese",
    "ketchup",
    "milk",
    "orange_juice",
    "salad_dressing",
    "tomato_sauce",
)
"""Objects of libero_object that training looks for in pictures."""
NOWHERE = -1.0


@dataclass(frozen=True)
class TrainingSet:
    """P pictures, and N labelled frames that show them.

    A staged picture has one frame per instruction, the one on whose way the hand is first; a
    demonstration's has one. Frames are in the order of their pictures.
    """

    pictures: Tensor
    """(P, cameras, 3, 128, 128) uint8."""
    marks: Tensor
    """(P, cameras, K, 2) float32, where in the picture each kind of object is, as shares of its
    side; outside 0 to 1: not to be seen; nan: nobody knows."""
    picture: Tensor
    """(N,) int64 index into `pictures`."""
    states: Tensor
    """(N, 8) float32."""
    chunks: Tensor
    """(N, H, 7) float32, the expert's actions from each frame on, not normalised."""
    valid: Tensor
    """(N, H) bool: false after a push or the episode's end."""
    landmarks: Tensor
    """(N, 6) float32, target and basket relative to the hand, in units of 0.1 m."""
    target: Tensor
    """(N,) int64 index into KINDS: what the instruction asks for."""
    instruction: Tensor
    """(N,) int64 index into `instructions`."""
    instructions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.states)


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation per dimension; floored where nearly constant."""

    state_mean: Tensor
    state_std: Tensor
    action_mean: Tensor
    action_std: Tensor


def load_training_set(
    folders: Sequence[Path], chunk: int, instructions: tuple[str, ...] = ()
) -> TrainingSet:
    """Read all demonstrations and stills of the folders, but the expert's own failures.

    `instructions` come first in the numbering, whether the data have them or not. Says how many
    demonstrations failed. Raises ConfigurationError when there is nothing to read.
    """
    made = [
        (folder, info)
        for folder in folders
        if (folder / INDEX_NAME).is_file()
        for info in read_index(folder)
    ]
    # Where a policy drove, the expert's labels are right however the episode ends.
    episodes = [(folder, info) for folder, info in made if info.success or info.source != "expert"]
    if failed := len(made) - len(episodes):
        print(f"{failed} of {len(made)} episodes are the expert's own failures; they are left out.")
    stills = [(folder, info) for folder in folders for info in read_stills_index(folder)]
    if not episodes and not stills:
        raise ConfigurationError(
            f"No demonstration that succeeded and no stills in {', '.join(map(str, folders))}. "
            "Make some with: vla-sae demos --out FOLDER"
        )
    said = {info.instruction for _, info in episodes}
    said.update(text for _, info in stills for text in info.instructions)
    known = (*instructions, *sorted(said - set(instructions)))
    columns: dict[str, list[np.ndarray]] = {}
    pictures = 0
    for folder, info in tqdm([*episodes, *stills], desc="reading", unit="file"):
        if isinstance(info, StillsInfo):
            frames = still_frames(read_stills(folder, info), info, known)
        else:
            frames = episode_frames(read_episode(folder, info), chunk)
            count = len(frames["states"])
            frames["instruction"] = np.full(count, known.index(info.instruction), np.int64)
            frames["target"] = np.full(count, _kind_number(info.target), np.int64)
        frames["picture"] += pictures
        pictures += len(frames["pictures"])
        for name, values in frames.items():
            columns.setdefault(name, []).append(values)
    tensors = {name: torch.from_numpy(np.concatenate(parts)) for name, parts in columns.items()}
    return TrainingSet(**tensors, instructions=known)


def still_frames(
    stills: Stills, info: StillsInfo, instructions: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Return the frames of one file of stills as columns of a TrainingSet.

    Of a hand that holds something only its own instruction's frame is taken: letting go of it
    for another's sake is nothing to learn for a policy that should carry.
    """
    numbers = np.array([instructions.index(text) for text in info.instructions])
    basket = info.objects.index("basket_1")
    columns: dict[str, list[np.ndarray]] = {}
    for still in range(len(stills.states)):
        chosen = int(stills.chosen[still])
        others = [number for number in range(len(numbers)) if number != chosen]
        for number in [chosen] if stills.held[still] else [chosen, *others]:
            target = info.objects.index(info.targets[number])
            frame = {
                "picture": np.int64(still),
                "states": stills.states[still],
                "chunks": stills.chunks[still, number],
                "instruction": numbers[number],
                "target": np.int64(_kind_number(info.targets[number])),
                "landmarks": stills.landmarks[still, [target, basket]].ravel() / LANDMARK_SCALE_M,
            }
            for name, value in frame.items():
                columns.setdefault(name, []).append(value)
    arrays = {name: np.stack(rows) for name, rows in columns.items()}
    arrays["landmarks"] = arrays["landmarks"].astype(np.float32)
    pictures = np.ascontiguousarray(stills.pictures.transpose(0, 1, 4, 2, 3))
    return arrays | {
        "pictures": pictures,
        "marks": _marks(stills.pixels, info.objects),
        "valid": np.ones(arrays["chunks"].shape[:2], np.bool_),
    }


def _kind_number(target: str) -> int:
    """Return the target's index into KINDS; of another suite's any, since its marks are unknown."""
    return KINDS.index(kind_of(target)) if kind_of(target) in KINDS else 0


def _marks(pixels: np.ndarray, objects: tuple[str, ...]) -> np.ndarray:
    """Return (P, cameras, K, 2) with one place per kind; what is not in the scene is nowhere."""
    marks = np.full((*pixels.shape[:2], len(KINDS), 2), NOWHERE, np.float32)
    for number, name in enumerate(objects):
        if kind_of(name) in KINDS:
            marks[:, :, KINDS.index(kind_of(name))] = pixels[:, :, number]
    return np.nan_to_num(marks, nan=NOWHERE)


def episode_frames(episode: Episode, chunk: int) -> dict[str, np.ndarray]:
    """Return one episode's frames as the columns of a TrainingSet.

    A chunk's labels hold only as long as the expert was followed: what it says after a push
    answers the push, which cannot be foreseen. The first label always holds.
    """
    steps, last = episode.picture_steps, len(episode.labels) - 1
    ahead = steps[:, None] + np.arange(chunk)
    pushes = np.concatenate([[0], np.cumsum(episode.pushed)])
    inside = np.minimum(ahead, last)
    undisturbed = pushes[inside] == pushes[steps][:, None]
    return {
        "pictures": np.ascontiguousarray(episode.pictures.transpose(0, 1, 4, 2, 3)),
        "marks": np.full((*episode.pictures.shape[:2], len(KINDS), 2), np.nan, np.float32),
        "picture": np.arange(len(steps)),
        "states": episode.states[steps],
        "chunks": episode.labels[inside],
        "valid": undisturbed & (ahead <= last),
        "landmarks": episode.landmarks[steps] / np.float32(LANDMARK_SCALE_M),
    }


def statistics_of(data: TrainingSet) -> Statistics:
    """Return the normalisation of states and actions."""
    actions = data.chunks[:, 0]
    return Statistics(
        data.states.mean(0),
        data.states.std(0).clamp_min(STATE_STD_FLOOR),
        actions.mean(0),
        actions.std(0).clamp_min(ACTION_STD_FLOOR),
    )
