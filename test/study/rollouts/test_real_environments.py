"""Rollout, collection, an SAE and a study, one after another, in environments of lerobot's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from real_environments import BOTH, METAWORLD, RealEnvironment, untrained_policy
from toy_setup import InProcess

from vla_sae_ros import cli
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.policy.tiny.untrained import SITE
from vla_sae_ros.study.experiment import command
from vla_sae_ros.study.experiment.records.files import Trajectory
from vla_sae_ros.study.experiment.records.table import read_table

pytestmark = pytest.mark.slow  # real simulators

STEPS = 4


def study_of(real: RealEnvironment, policy: Path, bundle: Path) -> str:
    """A study file as config/studies/quick.yaml, smaller."""
    return json.dumps(
        {
            "name": "quick",
            "env": real.env,
            "policy": str(policy),
            "bundles": [str(bundle)],
            "protocols": ["P1", "P2"],
            "features": [{"site": SITE, "ids": [3]}],
            "changes": [{"mode": "add", "unit": "residual_norm", "strengths": [0.5]}],
            "places": [{"rollouts": 1, **({"suite": real.suite} if real.suite else {})}],
            "arms": ["none", "zero", "feature"],
            "observations": {"count": 2, "every": 2},
            "max_steps": STEPS,
            "execute_steps": 2,
        }
    )


@pytest.mark.parametrize("real", BOTH)
def test_from_a_rollout_to_a_studys_verdicts(
    real: RealEnvironment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    policy, _ = untrained_policy(real, tmp_path)
    told = [*real.options, "--policy", str(policy), "--max-steps", str(STEPS)]
    outcomes = tmp_path / "outcomes.jsonl"
    assert cli.main(["rollout", *told, "--episodes", "1", "--out", str(outcomes)]) == 0
    (outcome,) = [json.loads(line) for line in outcomes.read_text().splitlines()]
    assert (outcome["env"], outcome["steps"], outcome["max_steps"]) == (real.env, STEPS, STEPS)

    folder = tmp_path / "activations"
    short = ["--sites", SITE, "--episodes", "2", "--every", "2"]
    assert cli.main(["collect", str(folder), *told, *short]) == 0
    steps = ActivationDataset.open(folder).load(SITE).steps
    assert {(len(one.state), len(one.action)) for one in steps} == {(real.state, real.action)}
    assert [one.step for one in steps] == [0, 2] * 2
    assert len({tuple(one.state) for one in steps}) > 1  # it moves

    bundle = tmp_path / "trained"
    size = ["--dictionary-size", "16", "--k", "2", "--epochs", "1", "--batch-size", "2"]
    assert cli.main(["train-sae", str(folder), "--out", str(bundle), *size]) == 0

    file, out = tmp_path / "study.yaml", tmp_path / "study"
    file.write_text(study_of(real, policy, bundle))
    # In this process: another one would import everything again.
    monkeypatch.setattr(command, "Processes", lambda count, spec, at: InProcess(spec, at))
    capsys.readouterr()
    assert cli.main(["evaluate", str(file), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "hooks at strength 0: 2 of 2 bit-identical" in said
    rows = {row.arm: row for row in read_table(out) if row.protocol == "P2"}
    assert rows["none"].actions_sha256 == rows["zero"].actions_sha256
    assert rows["none"].actions_sha256 != rows["feature"].actions_sha256
    assert Trajectory.load(out / rows["feature"].file).actions.shape == (STEPS, real.action)
    report = json.loads((out / "report.json").read_text())
    assert {one["protocol"] for one in report["verdicts"]} == {"P1", "P2"}
    assert np.isfinite([row.edit_ratio for row in rows.values()]).all()


def test_one_policy_answers_two_simulators(tmp_path: Path) -> None:
    pytest.importorskip(METAWORLD.package, reason=METAWORLD.install)
    policy, _ = untrained_policy(METAWORLD, tmp_path)
    outcomes = {}
    for batch in (1, 2):
        out = tmp_path / f"{batch}.jsonl"
        short = ["--episodes", "2", "--max-steps", "2", "--policy-batch", str(batch)]
        told = [*METAWORLD.options, "--policy", str(policy), *short, "--out", str(out)]
        assert cli.main(["rollout", *told]) == 0
        found = [json.loads(line) for line in out.read_text().splitlines()]
        assert [one.pop("policy_batch") for one in found] == [batch, batch]
        outcomes[batch] = sorted(found, key=lambda one: one["seed"])
    assert [(one["env"], one["steps"]) for one in outcomes[2]] == [(METAWORLD.env, 2)] * 2
    assert outcomes[1] == outcomes[2]
