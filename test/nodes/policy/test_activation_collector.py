"""What a serving policy node writes of its activations, inference by inference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from observed_episodes import query

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.shards import EpisodeShards
from vla_sae_ros.msg import EpisodeState
from vla_sae_ros.nodes.policy.activation_collector import ActivationCollector
from vla_sae_ros.nodes.policy.inference_worker import Job
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine

SITES = ["backbone.1", "expert.1"]


def test_every_inference_of_an_episode_is_written_until_the_bridge_says_it_is_over(
    loaded: LoadedPolicy, tmp_path: Path
) -> None:
    engine = PolicyEngine(loaded)
    collector = ActivationCollector(engine, tmp_path / "act", SITES, "mean", 20.0, pytest.fail)
    seen: list[torch.Tensor] = []
    engine.attach_probe("expert.1", True, lambda read, _norm: seen.append(read.clone()))
    running = {"status": EpisodeState.RUNNING, "suite": "libero_object", "task": 3}
    collector.episode_changed(EpisodeState(episode_id="e1", **running))
    for step in (0, 5):
        asked = query(1, step)
        job = Job(asked.frame, asked.instruction, "e1", step, 0, asked.seed, step)
        collector.add(job, engine.infer(job.frame, job.instruction, (job.seed, job.step)))
    collector.episode_changed(
        EpisodeState(episode_id="e1", suite="libero_object", status=EpisodeState.SUCCEEDED)
    )
    collector.close()
    engine.close()
    dataset = ActivationDataset.open(tmp_path / "act")
    (episode,) = dataset.episodes
    assert (episode.episode_id, episode.success, episode.steps) == ("e1", True, 2)
    rows = dataset.load("expert.1").rows[:]
    np.testing.assert_array_equal(rows, torch.stack(seen).numpy().reshape(2, -1))
    steps = dataset.load("backbone.1").steps
    assert [one.step for one in steps] == [0, 5]
    assert {one.task for one in steps} == {"libero_object 3"}, "it says what the state means"


def test_an_inference_that_outlasts_its_episode_is_counted_and_the_next_episode_is_written(
    loaded: LoadedPolicy, tmp_path: Path
) -> None:
    engine = PolicyEngine(loaded)
    collector = ActivationCollector(engine, tmp_path / "act", SITES, "mean", 20.0, pytest.fail)
    for episode in ("e1", "e2"):
        for step in (0, 5):
            asked = query(1, step)
            job = Job(asked.frame, asked.instruction, episode, step, 0, asked.seed, step)
            inference = engine.infer(job.frame, job.instruction, (job.seed, job.step))
            if step:  # the bridge is done before the policy is
                ended = EpisodeState(episode_id=episode, status=EpisodeState.FAILED)
                collector.episode_changed(ended)
            collector.add(job, inference)
    assert collector.late == 2
    collector.close()
    engine.close()
    episodes = ActivationDataset.open(tmp_path / "act").episodes
    assert [(one.episode_id, one.steps) for one in episodes] == [("e1", 1), ("e2", 1)]


def test_whether_a_robot_succeeded_is_unknown(loaded: LoadedPolicy, tmp_path: Path) -> None:
    engine = PolicyEngine(loaded)
    collector = ActivationCollector(engine, tmp_path / "act", SITES, "mean", 15.0, pytest.fail)
    asked = query(1, 0)
    job = Job(asked.frame, asked.instruction, "robot-1", 0, 0, asked.seed, 0)
    collector.add(job, engine.infer(job.frame, job.instruction, (job.seed, job.step)))
    collector.episode_changed(EpisodeState(episode_id="robot-1", status=EpisodeState.FAILED))
    collector.close()
    engine.close()
    (episode,) = ActivationDataset.open(tmp_path / "act").episodes
    assert episode.complete and episode.success is None


def test_a_disk_that_takes_nothing_ends_the_collection_and_not_the_policy(
    loaded: LoadedPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    told: list[str] = []
    engine = PolicyEngine(loaded)
    collector = ActivationCollector(engine, tmp_path / "act", SITES, "mean", 20.0, told.append)
    monkeypatch.setattr(EpisodeShards, "add", full)
    asked = query(1, 0)
    inference = engine.infer(asked.frame, asked.instruction, (asked.seed, 0))
    for step in range(100_000):  # a thread writes: it fails some time after the first
        engine.infer(asked.frame, asked.instruction, (asked.seed, 0))
        collector.add(
            Job(asked.frame, asked.instruction, "e1", step, 0, asked.seed, step), inference
        )
        if collector.lost > 1:
            break
    collector.episode_changed(EpisodeState(episode_id="e1", status=EpisodeState.FAILED))
    collector.close()
    engine.close()
    assert len(told) == 1 and "No space left on device" in told[0] and collector.lost
