"""How many actions of a chunk are executed: as the user says, and never more than there are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from nearest_openvla import ACTIONS, NearestProcessor, random_openvla
from pictured_scene import PicturedScene

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.checkpoints import openvla_folder
from vla_sae_ros.policy.checkpoints.openvla_folder import load_openvla
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.load_options import LoadOptions
from vla_sae_ros.sim.suites import find_task
from vla_sae_ros.study.rollouts.execute_steps import EXECUTE_STEPS, executed_steps
from vla_sae_ros.study.rollouts.outcomes import OutcomeFile
from vla_sae_ros.study.rollouts.rollout import evaluate, policy_actor
from vla_sae_ros.study.rollouts.simulated import policy_frame
from vla_sae_ros.study.rollouts.trials import Trial

TRUSTED = LoadOptions(trust_remote_code=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """OpenVLA with the statistics of two data sets; what transformers would load is put in."""
    numbers = {"action": {"q01": [-1.0] * ACTIONS, "q99": [1.0] * ACTIONS}}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "openvla"}))
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    both = {"libero_object": numbers, "bridge": numbers}
    (tmp_path / "dataset_statistics.json").write_text(json.dumps(both))
    made = random_openvla(), NearestProcessor()
    monkeypatch.setattr(openvla_folder, "_pretrained", lambda *_: made)
    return tmp_path


def test_a_short_chunk_is_executed_whole_and_a_long_one_as_far_as_is_usual() -> None:
    assert executed_steps(1, None, "--every") == 1
    assert executed_steps(50, None, "--every") == executed_steps(None, None, "") == EXECUTE_STEPS
    assert executed_steps(8, 8, "--every") == executed_steps(None, 8, "--every") == 8


@pytest.mark.parametrize(("chunk", "wanted"), [(1, 5), (8, 9), (None, 0), (8, -1)])
def test_more_than_a_chunk_has_is_refused(chunk: int | None, wanted: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"--execute-steps.*got {wanted}; allowed.* 1 "):
        executed_steps(chunk, wanted, "--execute-steps")


def test_openvla_is_asked_at_every_step_and_its_data_set_is_part_of_an_outcome(
    folder: Path,
) -> None:
    environment, task = PicturedScene(), find_task("libero_object", 0)
    with pytest.raises(ConfigurationError, match=r"--execute-steps.*1 to 1, the policy's chunk"):
        policy_actor(folder, environment, 5, options=LoadOptions(True, "bridge"))
    file, trial = OutcomeFile(folder / "outcomes.jsonl"), Trial(task, 40, 7, max_steps=3)
    for key in ("libero_object", "bridge"):
        actor = policy_actor(folder, environment, None, options=LoadOptions(True, key))
        (outcome,) = evaluate(environment, actor, [trial], file)
        assert (outcome.execute_steps, outcome.unnorm_key, outcome.steps) == (1, key, 3)
    assert len(OutcomeFile(folder / "outcomes.jsonl").outcomes) == 2


def test_a_rollout_s_actions_are_those_of_the_node_s_engine(folder: Path) -> None:
    environment, options = PicturedScene(), LoadOptions(True, "libero_object")
    actor = policy_actor(folder, environment, None, options=options)
    trial = Trial(find_task("libero_object", 0), 40, 7)
    observation = environment.reset(trial.task, 40, 7)
    frame = policy_frame(environment, observation)
    engine = PolicyEngine(load_openvla(folder, "cpu", "libero_object", True))
    plain = engine.infer(frame, trial.task.instruction, (7, 0)).actions
    assert plain.shape == (1, ACTIONS) and plain[0, -1] in (-1.0, 1.0)
    np.testing.assert_array_equal(actor.begin(trial)(observation), np.clip(plain[0], -1, 1))
