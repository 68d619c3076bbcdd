"""Demonstrations come back from lerobot's own class as they were stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vla_sae_ros import cli
from vla_sae_ros.study.demonstrations.files import Episode, EpisodeInfo, write_episode

STEPS = 9


def demonstrations(folder: Path, strides: tuple[int, ...] = (4, 4)) -> list[Episode]:
    """Write an episode of random numbers per stride."""
    generator = np.random.default_rng(0)
    episodes = []
    for number, stride in enumerate(strides):
        steps = np.arange(number, STEPS, stride, dtype=np.int32)
        episode = Episode(
            generator.integers(0, 256, (len(steps), 2, 128, 128, 3)).astype(np.uint8),
            steps,
            *(generator.normal(size=(STEPS, width)).astype(np.float32) for width in (8, 7, 7)),
            generator.random(STEPS) > 0.5,
            generator.normal(size=(STEPS, 6)).astype(np.float32),
        )
        info = EpisodeInfo(
            f"{number}.npz",
            "libero_object",
            0,
            f"bring {number}",
            "butter_1",
            3,
            number,
            0.0,
            None,
            "expert",
            STEPS,
            True,
        )
        write_episode(folder, info, episode)
        episodes.append(episode)
    return episodes


@pytest.mark.slow
def test_lerobot_loads_the_frames_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    episodes = demonstrations(tmp_path / "demos")
    output = tmp_path / "dataset"
    command = ["demos", "--out", str(tmp_path / "demos"), "--rounds", "0", "--lerobot", str(output)]
    assert cli.main(command) == 0
    assert "5 frames of 2 episodes at 5 Hz" in capsys.readouterr().out
    dataset = LeRobotDataset("vla_sae_ros/dataset", root=output)
    assert (dataset.num_frames, dataset.num_episodes, dataset.fps) == (5, 2, 5)
    assert dataset.meta.robot_type == "panda"
    for row, (number, place) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]):
        frame, episode = dataset[row], episodes[number]
        step = episode.picture_steps[place]
        assert frame["task"] == f"bring {number}" and frame["episode_index"] == number
        np.testing.assert_array_equal(frame["observation.state"], episode.states[step])
        np.testing.assert_array_equal(frame["action"], episode.labels[step])
        np.testing.assert_array_equal(frame["executed_action"], episode.executed[step])
        for camera, name in enumerate(("agentview", "wrist")):
            picture = frame[f"observation.images.{name}"].numpy().transpose(1, 2, 0) * 255
            np.testing.assert_array_equal(
                picture.round().astype(np.uint8), episode.pictures[place, camera]
            )
    assert cli.main(command) == 2 and "exists already" in capsys.readouterr().err


@pytest.mark.slow
def test_pictures_at_different_rates_make_no_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demonstrations(tmp_path / "demos", strides=(2, 4))
    output = tmp_path / "dataset"
    command = ["demos", "--out", str(tmp_path / "demos"), "--rounds", "0", "--lerobot", str(output)]
    assert cli.main(command) == 2
    assert "[2, 4]" in capsys.readouterr().err and not output.exists()
