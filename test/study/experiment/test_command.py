"""`vla-sae evaluate` from a study file to a table, with a tiny policy in a toy scene."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from pictured_scene import PicturedScene, pictured
from toy_setup import InProcess
from traced_parts import trace_only

from vla_sae_ros.activations.format import CollectedSite, Collection
from vla_sae_ros.activations.writer import ActivationWriter
from vla_sae_ros.cli import main
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.compiled.graph_cache import CACHE_VARIABLE
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.experiment import command
from vla_sae_ros.study.experiment.design.study_parts import MeanDifference
from vla_sae_ros.study.experiment.records.files import Responses, Trajectory
from vla_sae_ros.study.experiment.records.table import read_table
from vla_sae_ros.study.experiment.run import simulated_setup
from vla_sae_ros.study.experiment.run.inputs import content_id, mean_difference
from vla_sae_ros.study.experiment.run.store import Store

SITE = "expert.0"


@pytest.fixture
def activations(loaded: LoadedPolicy, tmp_path: Path) -> Path:
    """Two successes around +1 and a failure at 0, of two instructions."""
    width = 36
    sites = {SITE: CollectedSite(width, "mean", ("action",))}
    with ActivationWriter(tmp_path / "act", Collection("p", "tiny", sites, 20.0)) as writer:
        for number, (level, success) in enumerate([(1.0, True), (3.0, True), (0.0, False)]):
            told = "go left" if number == 0 else "go right"
            for step in range(2):
                context = {"episode_id": f"e{number}", "step": step, "instruction": told}
                writer(SITE, np.full(width, level), context)
            writer.end_episode(success)
    return tmp_path / "act"


@pytest.fixture
def study_file(
    loaded: LoadedPolicy,
    tiny_policy_folder: Path,
    make_bundle: Callable[..., SaeBundle],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A study of a random SAE of the tiny policy; the scene is a toy, the process this one."""
    make_bundle(loaded, SITE).save(tmp_path / "sae" / SITE)
    monkeypatch.setattr(command, "Processes", lambda count, spec, folder: InProcess(spec, folder))
    monkeypatch.setattr(simulated_setup.SimulatedSetup, "scene", lambda self: PicturedScene())
    clamp = {"mode": "clamp", "unit": "observed_max", "strengths": [2]}
    study = {
        "name": "tiny",
        "policy": str(tiny_policy_folder),
        "bundles": [str(tmp_path / "sae" / SITE)],
        "protocols": ["P2", "P4"],
        "features": [{"site": SITE, "ids": [2]}],
        "changes": [{"strengths": [0.5]}, clamp],
        "places": [{"suite": "libero_object", "tasks": "0:butter_1", "rollouts": 1}],
        "arms": ["none", "zero", "feature", "gaussian"],
        "controls": {"rows": 0, "gaussian": 1},
        "layers": {"directions": 1},
        "max_steps": 7,
    }
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def test_a_study_is_planned_made_checked_and_written(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", str(study_file), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--plan"]) == 0
    assert "no run of kind rollout is finished" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
    assert main([*arguments, "--limit", "2"]) == 0
    with Store(tmp_path / "out"):  # as while the study runs
        capsys.readouterr()
        assert main([*arguments, "--plan"]) == 0
    assert "2 runs are finished" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out" / "report.html").exists()
    assert main(arguments) == 0
    said = capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text()
    assert "report.html" in said and SITE in page and "http" not in page.split("<style")[0]
    assert "verdicts" in json.loads((tmp_path / "out" / "report.json").read_text())
    assert "hooks at strength 0: 1 of 1 bit-identical" in said
    assert "steering backbone.2, which nothing reads: 1 of 1 bit-identical" in said
    rows = read_table(tmp_path / "out")
    plain = next(row for row in rows if row.arm == "none")
    assert {row.task for row in rows} == {"0:butter_1"} and "butter" in plain.instruction
    for row in rows:
        changed = row.arm in ("feature", "gaussian") and row.site != "backbone.2"
        assert (row.actions_sha256 != plain.actions_sha256) == changed, row.arm_name
        assert row.steps == 7
    for dose in {row.dose for row in rows if row.arm == "feature"}:
        ratio = {row.arm: row.edit_ratio for row in rows if row.dose == dose}
        assert ratio["feature"] == pytest.approx(ratio["gaussian"], rel=0.2)
    assert main(arguments) == 0
    assert "0 runs made" in capsys.readouterr().out


def verdicts_of(out: Path) -> dict[tuple[str, str], str]:
    """Return the outcome of every verdict of the report, by protocol and mode."""
    found = json.loads((out / "report.json").read_text())["verdicts"]
    return {(one["protocol"], one["mode"]): one["outcome"] for one in found}


def test_a_batched_study_has_runs_of_its_own_that_say_so_and_agree_with_those_alone(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    # Six episodes are the fewest of which all can agree with p < 0.05.
    keys = {
        "protocols": ["P1", "P2", "P5"],
        "changes": [{"strengths": [0.5]}],
        "places": [{"suite": "libero_object", "tasks": "0:butter_1", "rollouts": 6}],
        "arms": ["none", "zero", "feature", "random_row"],
        "controls": {"rows": 1, "gaussian": 0},
        "observations": {"count": 6, "every": 5},
        "max_steps": 2,
        "latency": 10,
    }
    study_file.write_text(yaml.safe_dump(yaml.safe_load(study_file.read_text()) | keys))
    monkeypatch.setattr(command, "scene_of", pictured)
    out = tmp_path / "out"
    assert main(["evaluate", str(study_file), "--out", str(out)]) == 0
    alone, judged = read_table(out), verdicts_of(out)
    arguments = ["evaluate", str(study_file), "--out", str(out), "--policy-batch", "2"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "their neighbours decide how they round" in said
    assert "NOT identical" not in said
    batched = read_table(out)
    assert verdicts_of(out) == judged
    assert "cannot tell" not in judged.values()
    key = lambda row: (row.protocol, row.arm_name, row.pair)  # noqa: E731
    wanted = {key(row): row for row in alone}
    assert {key(row) for row in batched} == wanted.keys()
    for row in batched:
        other = wanted[key(row)]
        assert row.policy_batch == (1 if row.kind == "latency" else 2)
        assert row.run_id != other.run_id
        assert (row.steps, row.success) == (other.steps, other.success)
        assert row.edit_ratio == pytest.approx(other.edit_ratio, rel=1e-3, abs=1e-6)
        if row.kind == "rollout":
            ours, theirs = (Trajectory.load(out / one.file) for one in (row, other))
            np.testing.assert_allclose(ours.actions, theirs.actions, atol=1e-3)
    assert main(arguments) == 0
    assert "0 runs made" in capsys.readouterr().out


@pytest.mark.slow
def test_a_compiled_study_has_runs_of_its_own_that_agree_with_the_eager_ones_and_edits_act(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    keys = {
        "protocols": ["P1", "P2"],
        "changes": [
            {"strengths": [0.5]},
            {"mode": "clamp", "unit": "observed_max", "strengths": [2]},
        ],
        "arms": ["none", "zero", "feature", "random_row", "gaussian"],
        "controls": {"rows": 1, "gaussian": 1},
        "observations": {"count": 2, "every": 5},
    }
    study_file.write_text(yaml.safe_dump(yaml.safe_load(study_file.read_text()) | keys))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "compiled"))
    trace_only(monkeypatch)
    out = tmp_path / "out"
    arguments = ["evaluate", str(study_file), "--out", str(out)]
    assert main(arguments) == 0
    eager = {(row.protocol, row.arm_name, row.pair): row for row in read_table(out)}
    capsys.readouterr()
    assert main([*arguments, "--compile", "--plan"]) == 0
    assert "compiling" not in capsys.readouterr().err, "a plan costs no minutes"
    assert main([*arguments, "--compile"]) == 0
    said = capsys.readouterr()
    assert "compiled part 3 of 3" in " ".join(said.err.split())
    assert "Compiled runs are not compared bit by bit" in said.out
    compiled = read_table(out)
    assert {(row.protocol, row.arm_name, row.pair) for row in compiled} == eager.keys()
    plain = {row.protocol: row for row in compiled if row.arm == "none"}
    for row in compiled:
        other = eager[row.protocol, row.arm_name, row.pair]
        assert row.compiled and not other.compiled and row.run_id != other.run_id
        assert row.steps == other.steps
        assert row.edit_ratio == pytest.approx(other.edit_ratio, rel=1e-3, abs=1e-6)
        acted = row.arm not in ("none", "zero")
        assert (row.actions_sha256 != plain[row.protocol].actions_sha256) == acted, row.arm_name
        kind = Trajectory if row.protocol == "P2" else Responses
        ours, theirs = (kind.load(out / one.file) for one in (row, other))
        np.testing.assert_allclose(ours.actions, theirs.actions, atol=1e-4)
    assert main([*arguments, "--compile"]) == 0
    said = capsys.readouterr()
    assert "0 runs made" in said.out and "compiling" not in said.err


def test_a_study_that_cannot_be_compiled_is_refused_before_anything_starts(
    study_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(study_file), "--compile"]) == 2
    assert "--compile with P4" in capsys.readouterr().err


def test_a_wrong_request_is_refused_with_status_2(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(study_file), "--workers", "-1"]) == 2
    assert main(["evaluate", str(tmp_path / "none.yaml")]) == 2
    study = yaml.safe_load(study_file.read_text())
    study_file.write_text(yaml.safe_dump(study | {"places": [{"suite": "libero_objekt"}]}))
    assert main(["evaluate", str(study_file)]) == 2
    assert "libero_object" in capsys.readouterr().err


def test_a_plan_without_the_activations_of_its_mean_difference_names_the_command(
    study_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = yaml.safe_load(study_file.read_text())
    missing = tmp_path / "act"
    study |= {"arms": [*study["arms"], "mean_difference"]}
    study |= {"mean_difference": {"activations": str(missing)}}
    study_file.write_text(yaml.safe_dump(study))
    assert main(["evaluate", str(study_file), "--plan"]) == 2
    said = capsys.readouterr().err
    assert f"{missing} is not a folder of activations" in said and "arm mean_difference" in said
    wanted = f"--policy {study['policy']} --suite libero_object --env libero --tasks 0:butter_1"
    assert f"vla-sae collect {missing} --sites {SITE} {wanted} --episodes 5" in said


def test_a_mean_difference_of_another_policys_activations_is_refused(
    study_file: Path, activations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = yaml.safe_load(study_file.read_text())
    study |= {"arms": [*study["arms"], "mean_difference"]}
    study |= {"mean_difference": {"activations": str(activations)}}
    study_file.write_text(yaml.safe_dump(study))
    assert main(["evaluate", str(study_file), "--plan"]) == 2
    assert f"policy of the activations in {activations}: got 'p'" in capsys.readouterr().err


def test_the_mean_difference_is_that_of_the_episodes_means(activations: Path) -> None:
    by_success = mean_difference(MeanDifference(activations), SITE)
    np.testing.assert_allclose(by_success, 2.0)
    told = MeanDifference(activations, "instruction", "go left", "go right")
    np.testing.assert_allclose(mean_difference(told, SITE), 1.0 - 1.5)
    assert content_id(by_success) != content_id(mean_difference(told, SITE))
    with pytest.raises(ConfigurationError, match=r"go up.*go left"):
        mean_difference(MeanDifference(activations, "instruction", "go up", "go left"), SITE)
