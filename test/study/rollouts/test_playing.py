"""A policy that drives: its chunks come from the engine, its episodes repeat by their seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_families import statistics

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi
from vla_sae_ros.policy.tiny.tiny_xvla import build_tiny_xvla, save_tiny_xvla
from vla_sae_ros.sim.conventions import libero_state
from vla_sae_ros.sim.environment import Observation
from vla_sae_ros.study.rollouts.policy_runner import PolicyRunner

OBSERVATION = Observation(
    np.zeros(7), np.array([0.1, 0.2, 0.3]), np.array([0.0, 0.0, 0.0, 1.0]), np.array([0.04, -0.04])
)
TASK = "pick up the butter"


class FakeEnvironment:
    """A scene in which nothing moves, seen by two cameras."""

    def __init__(self, cameras: tuple[str, ...] = ("agentview", "wrist")) -> None:
        random = np.random.default_rng(0)
        self.cameras = cameras
        self._pictures = {
            name: random.integers(0, 256, (256, 256, 3), np.uint8) for name in cameras
        }

    def render(self, camera: str) -> np.ndarray:
        return self._pictures[camera]


def driven(loaded: LoadedPolicy, seed: int, steps: int = 11) -> np.ndarray:
    """Return the actions (steps, 7) of an episode with this seed."""
    runner = PolicyRunner(PolicyEngine(loaded), FakeEnvironment())  # type: ignore[arg-type]
    runner.start(TASK, seed)
    return np.array([runner.act(OBSERVATION) for _ in range(steps)])


def family(name: str, folder: Path, smolvla: LoadedPolicy) -> LoadedPolicy:
    if name == "smolvla":
        return smolvla
    if name == "xvla":
        save_tiny_xvla(build_tiny_xvla(), statistics(), folder)
    else:
        size = PiSize()
        save_tiny_pi(build_tiny_pi(name, size), size, statistics(), folder)
    return load_policy(folder)


@pytest.mark.parametrize("name", ["smolvla", "pi05", "xvla"])
def test_an_episode_repeats_by_its_seed_in_every_family_whatever_was_drawn_meanwhile(
    name: str, loaded: LoadedPolicy, tmp_path: Path
) -> None:
    policy = family(name, tmp_path / "policy", loaded)
    first = driven(policy, 7)
    torch.manual_seed(123)
    np.testing.assert_array_equal(driven(policy, 7), first)
    assert not np.array_equal(driven(policy, 8), first)


def test_the_chunks_are_those_of_lerobots_policy_from_noise_drawn_one_after_another(
    loaded: LoadedPolicy,
) -> None:
    environment, generator = FakeEnvironment(), torch.Generator().manual_seed(7)
    frame = {
        f"observation.images.{name}": torch.from_numpy(environment.render(name))
        .permute(2, 0, 1)
        .float()
        .div(255.0)
        for name in environment.cameras
    }
    state = torch.from_numpy(libero_state(OBSERVATION).astype(np.float32))
    wanted = []
    for _ in range(3):
        batch = loaded.preprocessor({**frame, "observation.state": state, "task": TASK})
        noise = torch.randn(
            1, loaded.config.chunk_size, loaded.config.max_action_dim, generator=generator
        )
        chunk = loaded.postprocessor(loaded.policy.predict_action_chunk(batch, noise=noise))
        wanted.append(np.clip(chunk[0, :5].double().numpy(), -1, 1))
    np.testing.assert_array_equal(driven(loaded, 7, 15), np.concatenate(wanted))


def test_a_dropped_chunk_is_asked_for_anew(loaded: LoadedPolicy) -> None:
    runner = PolicyRunner(PolicyEngine(loaded), FakeEnvironment())  # type: ignore[arg-type]
    runner.start(TASK, 7)
    first = runner.act(OBSERVATION)
    runner.drop_chunk()
    assert not np.array_equal(runner.act(OBSERVATION), first), "the next noise, the same sight"
    assert not np.array_equal(runner.act(OBSERVATION), driven(loaded, 7, 2)[1])


def test_a_policy_of_other_cameras_is_refused_and_never_runs_blind(loaded: LoadedPolicy) -> None:
    environment = FakeEnvironment(("front", "side"))
    with pytest.raises(ConfigurationError, match=r"observation\.images\.agentview"):
        PolicyRunner(PolicyEngine(loaded), environment)  # type: ignore[arg-type]


def test_a_policy_that_calls_the_cameras_otherwise_acts_as_if_it_did_not(
    loaded: LoadedPolicy,
) -> None:
    names = {"front": "agentview", "side": "wrist"}
    environment = FakeEnvironment(("front", "side"))
    runner = PolicyRunner(PolicyEngine(loaded), environment, names=names)  # type: ignore[arg-type]
    runner.start(TASK, 7)
    np.testing.assert_array_equal(runner.act(OBSERVATION), driven(loaded, 7, 1)[0])
