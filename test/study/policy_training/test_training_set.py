"""Which of the recorded frames a training sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.demonstrations.files import Episode, EpisodeInfo, write_episode
from vla_sae_ros.study.policy_training.training_set import load_training_set

INSTRUCTION = "pick up the butter and place it in the basket"


def record(folder: Path, seed: int, source: str, success: bool) -> None:
    """Write an episode of one picture in whose states its seed stands."""
    info = EpisodeInfo(
        f"{seed}.npz",
        "libero_object",
        6,
        INSTRUCTION,
        "butter_1",
        0,
        seed,
        0.0,
        None,
        source,
        4,
        success,
    )
    episode = Episode(
        np.zeros((1, 2, 128, 128, 3), np.uint8),
        np.zeros(1, np.int32),
        np.full((4, 8), seed, np.float32),
        np.zeros((4, 7), np.float32),
        np.zeros((4, 7), np.float32),
        np.zeros(4, np.bool_),
        np.zeros((4, 6), np.float32),
    )
    write_episode(folder, info, episode)


def test_the_expert_s_own_failures_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path, 1, "expert", success=True)
    record(tmp_path, 2, "expert", success=False)
    record(tmp_path, 3, "dagger", success=False)  # the policy drove: the labels are right
    data = load_training_set([tmp_path], chunk=2)
    assert data.states[:, 0].tolist() == [1, 3]
    assert data.picture.tolist() == [0, 1]
    assert data.instructions == (INSTRUCTION,)
    assert "1 of 3 episodes are the expert's own failures" in capsys.readouterr().out


def test_nothing_but_failures_is_nothing_to_learn_from(tmp_path: Path) -> None:
    record(tmp_path, 1, "expert", success=False)
    with pytest.raises(ConfigurationError, match="No demonstration that succeeded"):
        load_training_set([tmp_path], chunk=2)
