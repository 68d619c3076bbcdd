"""Tools without ROS in an environment that is not LIBERO: 16 numbers of state, 12 of action.

The environment is a stand-in with RoboCasa's spaces; the policy is lerobot's own, untrained.
"""

from __future__ import annotations

import json
from pathlib import Path

import lerobot_stand_ins
import numpy as np
import pytest

from vla_sae_ros import cli
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.tiny.untrained import SITE, write_untrained_policy
from vla_sae_ros.sim.lerobot_envs.benchmark import LerobotBenchmark
from vla_sae_ros.study.experiment.design.plan import make_plan
from vla_sae_ros.study.experiment.design.study_file import load_study
from vla_sae_ros.study.experiment.measure.effects import Seen, pair_effects
from vla_sae_ros.study.experiment.records.files import Trajectory
from vla_sae_ros.study.experiment.run.hooks import OwnSetup
from vla_sae_ros.study.experiment.run.inputs import inputs_of
from vla_sae_ros.study.experiment.run.rollouts import run_rollout
from vla_sae_ros.study.features.task_objects import TaskObjects

lerobot_stand_ins.register()
ENV = "robocasa_stand_in:observation_height=32,observation_width=32"
STEPS = lerobot_stand_ins.STEPS

STUDY = """
name: kitchen
env: {env}
policy: {policy}
features: [{{site: backbone.1, ids: [3]}}]
changes: [{{mode: add, unit: residual_norm, strengths: [0.5]}}]
places: [{{suite: CloseFridge, rollouts: 1}}]
arms: [none, zero, feature]
"""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    facts = LerobotBenchmark(ENV).facts()
    folder = tmp_path_factory.mktemp("untrained")
    return write_untrained_policy(folder, facts.shapes, facts.low, facts.high, ["close it"])[0]


def test_a_rollout_says_how_often_the_task_was_done(policy: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "outcomes.jsonl"
    told = ["--env", ENV, "--policy", str(policy), "--episodes", "2", "--out", str(out)]
    assert cli.main(["rollout", *told]) == 0
    assert "CloseFridge 0" in capsys.readouterr().out
    outcomes = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(one["success"], one["steps"], one["env"]) for one in outcomes] == [
        (True, STEPS, ENV)
    ] * 2
    for option in (["--move", "0.05"], ["--shuffle"], ["--policy", "expert"]):
        assert cli.main(["rollout", *told, *option]) == 2
        assert "libero only" in capsys.readouterr().err


def test_activations_are_collected_with_the_environments_own_state(
    policy: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "activations"
    told = [str(folder), "--env", ENV, "--policy", str(policy), "--sites", SITE, "--episodes", "2"]
    assert cli.main(["collect", *told]) == 0
    dataset = ActivationDataset.open(folder)
    assert [episode.success for episode in dataset.episodes] == [True, True]
    steps = dataset.load(SITE).steps
    assert {len(step.state) for step in steps} == {16}
    assert {len(step.action) for step in steps} == {12}
    assert {step.instruction for step in steps} <= {"close the fridge", "close the oven"}


def test_a_study_compares_success_and_steps_where_the_hand_is_not_known(
    policy: Path, tmp_path: Path
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.format(env=json.dumps(ENV), policy=policy))
    inputs, spec = inputs_of(load_study(file))
    runs = {run.arms[0].arm: run for run in make_plan(load_study(file), inputs).runs}
    with pytest.raises(ConfigurationError, match="map names what is not offered"):
        inputs_of(load_study(file), names={"nobody": "observation.state"})
    setup = spec.open()
    try:
        own = OwnSetup(setup)
        made = {arm: run_rollout(own, run.settings, run.task) for arm, run in runs.items()}
    finally:
        setup.close()
    # Without an edit the hook changes nothing, and an edit does change the actions.
    hashes = {arm: result.outcome.actions_sha256 for arm, result in made.items()}
    assert hashes["none"] == hashes["zero"] != hashes["feature"]
    files = {}
    for arm, result in made.items():
        path = tmp_path / f"{arm}.npz"
        path.write_bytes(result.file)
        files[arm] = Trajectory.load(path)
    assert files["none"].actions.shape == (STEPS, 12)
    assert np.isnan(files["none"].ee_position).all()
    found = pair_effects(
        Seen(files["none"]), Seen(files["feature"]), (True, True), TaskObjects("", "")
    )
    assert found.values == {"success": 0.0, "steps": 0.0}
