"""Demonstrations as a LeRobotDataset: a frame per picture, with the expert's action."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from datasets.utils import disable_progress_bars
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from tqdm import tqdm

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sim.libero import CAMERAS, CONTROL_RATE_HZ
from vla_sae_ros.study.bag_commands.lerobot_features import features_of
from vla_sae_ros.study.demonstrations.files import Episode, EpisodeInfo, read_episode, read_index

EXECUTED = "executed_action"
"""What was done in the place of `action`, the expert's: noise and pushes included."""


def export_demonstrations(folder: Path, output: Path) -> LeRobotDataset:
    """Write the folder's demonstrations into the new folder `output`, pictures without loss.

    Frames: observation.images.<camera>, observation.state (8,), action (7,), executed_action (7,)
    and the instruction as task, at the rate at which pictures were taken.

    Raises ConfigurationError when there are no demonstrations, when `output` exists, or when the
    pictures' rate is no whole number or not the same in all episodes; nothing is written then.
    """
    infos = read_index(folder)
    if not infos:
        raise ConfigurationError(f"{folder} contains no demonstrations: there is nothing to write.")
    if output.exists():
        raise ConfigurationError(
            complaint("The data set's folder exists already", output, "a new folder")
        )
    fps = _rate({_stride(info, read_episode(folder, info)) for info in infos})
    disable_progress_bars()
    first = next(_frames(read_episode(folder, infos[0])))
    dataset = LeRobotDataset.create(
        f"vla_sae_ros/{output.name}",
        fps,
        dict(features_of(first)),
        root=output,
        robot_type="panda",
        use_videos=False,
    )
    try:
        for info in tqdm(infos, desc="writing", unit="episode"):
            for frame in _frames(read_episode(folder, info)):
                dataset.add_frame(frame | {"task": info.instruction})
            dataset.save_episode()
        dataset.finalize()
    except BaseException:
        shutil.rmtree(output, ignore_errors=True)
        raise
    return dataset


def _frames(episode: Episode) -> Iterator[dict[str, np.ndarray]]:
    for pictures, step in zip(episode.pictures, episode.picture_steps, strict=True):
        yield {
            **{
                f"observation.images.{name}": picture
                for name, picture in zip(CAMERAS, pictures, strict=True)
            },
            "observation.state": episode.states[step],
            "action": episode.labels[step],
            EXECUTED: episode.executed[step],
        }


def _stride(info: EpisodeInfo, episode: Episode) -> int:
    """Return the control steps between pictures, 0 where there is one picture only."""
    strides = set(np.diff(episode.picture_steps).tolist())
    if len(strides) > 1 or not len(episode.picture_steps):
        raise ConfigurationError(
            complaint(
                f"{info.file} has no constant frame rate: steps between its pictures",
                sorted(strides),
                "the same number throughout",
            )
        )
    return int(strides.pop()) if strides else 0


def _rate(strides: set[int]) -> int:
    known = sorted(strides - {0}) or [1]
    if len(known) > 1 or CONTROL_RATE_HZ % known[0]:
        raise ConfigurationError(
            complaint(
                "The demonstrations have no common whole frame rate: steps between pictures",
                known,
                "one of 1, 2, 4, 5, 10, 20",
                "Make them with one --picture-every.",
            )
        )
    return int(CONTROL_RATE_HZ) // known[0]
