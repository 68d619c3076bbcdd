"""Demonstrations as one training set in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.demonstration_files import Episode, read_episode, read_index

STATE_STD_FLOOR = 0.01
ACTION_STD_FLOOR = 0.15
"""Else a nearly constant dimension (the hand's rotation) would be all noise and count fully."""
LANDMARK_SCALE_M = 0.1


@dataclass(frozen=True)
class TrainingSet:
    """N labelled frames; every tensor's first dimension is N unless it says otherwise."""

    pictures: Tensor
    """(N, cameras, 3, 128, 128) uint8."""
    states: Tensor
    """(N, 8) float32."""
    chunks: Tensor
    """(N, H, 7) float32, the expert's actions from each frame on, not normalised."""
    valid: Tensor
    """(N, H) bool: false after a push or the episode's end."""
    landmarks: Tensor
    """(N, 6) float32, target and basket relative to the hand, in units of 0.1 m."""
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


def load_training_set(folders: Sequence[Path], chunk: int) -> TrainingSet:
    """Read every episode of the folders; raises ConfigurationError when there is none."""
    episodes = [(folder, info) for folder in folders for info in read_index(folder)]
    if not episodes:
        raise ConfigurationError(f"No demonstrations in {', '.join(map(str, folders))}.")
    instructions = tuple(sorted({info.instruction for _, info in episodes}))
    columns: dict[str, list[np.ndarray]] = {}
    for folder, info in tqdm(episodes, desc="reading demonstrations", unit="episode"):
        frames = episode_frames(read_episode(folder, info), chunk)
        frames["instruction"] = np.full(
            len(frames["states"]), instructions.index(info.instruction), np.int64
        )
        for name, values in frames.items():
            columns.setdefault(name, []).append(values)
    tensors = {name: torch.from_numpy(np.concatenate(parts)) for name, parts in columns.items()}
    return TrainingSet(**tensors, instructions=instructions)


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
