"""--compile of rollout and collect: a tiny policy, traced, in an environment that is a stand-in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import lerobot_stand_ins
import numpy as np
import pytest
from traced_parts import trace_only

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.cli import main
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.compiled.graph_cache import CACHE_VARIABLE
from vla_sae_ros.policy.inference import NotCompiled
from vla_sae_ros.policy.tiny.untrained import write_untrained_policy
from vla_sae_ros.sim.lerobot_envs.benchmark import LerobotBenchmark
from vla_sae_ros.study.rollouts.compiling import engine_of

lerobot_stand_ins.register()
ENV = "robocasa_stand_in:observation_height=32,observation_width=32"
SITES = ("backbone.1", "expert.0")
ROUNDING = 1e-4


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    facts = LerobotBenchmark(ENV).facts()
    folder = tmp_path_factory.mktemp("untrained")
    return write_untrained_policy(folder, facts.shapes, facts.low, facts.high, ["close it"])[0]


@pytest.fixture(autouse=True)
def traced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Trace policies only, and keep the user's cache out of this."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "compiled"))
    trace_only(monkeypatch)


@pytest.mark.slow
def test_compiled_rollouts_are_other_rollouts_than_eager_ones_and_say_so(
    policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "outcomes.jsonl"
    told = ["rollout", "--env", ENV, "--policy", str(policy), "--episodes", "1", "--out", str(out)]
    assert main(told) == 0
    capsys.readouterr()
    assert main([*told, "--compile"]) == 0
    said = capsys.readouterr()
    assert "compiled part 3 of 3" in said.err and "compil" not in said.out
    assert main([*told, "--compile"]) == 0
    assert "compiled part" not in capsys.readouterr().err, "no episode is left to play"
    eager, compiled = map(json.loads, out.read_text().splitlines())
    assert (eager.pop("compiled"), compiled.pop("compiled")) == (False, True)
    assert eager == compiled


@pytest.mark.slow
def test_a_compiled_collection_is_the_eager_one_up_to_rounding_and_is_not_continued_by_it(
    policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--env", ENV, "--policy", str(policy), "--sites", *SITES, "--episodes", "2"]
    assert main(["collect", str(tmp_path / "eager"), *told]) == 0
    assert main(["collect", str(tmp_path / "compiled"), *told, "--compile"]) == 0
    ours, theirs = (ActivationDataset.open(tmp_path / name) for name in ("compiled", "eager"))
    assert ours.collection == replace(theirs.collection, compiled=True)
    for site in SITES:
        one, other = ours.load(site), theirs.load(site)
        np.testing.assert_allclose(one.rows[:], other.rows[:], atol=ROUNDING)
        assert np.ptp(one.rows[:], axis=0).max() > 10 * ROUNDING
        for a, b in zip(one.steps, other.steps, strict=True):
            assert a.action == pytest.approx(b.action, abs=ROUNDING)
            assert a.residual_norm == pytest.approx(b.residual_norm, rel=ROUNDING)
    capsys.readouterr()
    assert main(["collect", str(tmp_path / "compiled"), *told]) == 2
    assert "compiled (True there, False now)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [["rollout"], ["collect", "out", "--sites", "expert.0"], ["evaluate", __file__]]
)
def test_a_batch_is_refused_because_a_graph_infers_for_one_simulation(
    command: list[str], policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ["--policy", str(policy), "--env", ENV] if command[0] != "evaluate" else []
    assert main([*command, *named, "--compile", "--policy-batch", "2"]) == 2
    assert "one simulation at a time" in capsys.readouterr().err


def test_the_expert_is_no_policy_to_compile(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollout", "--policy", "expert", "--compile"]) == 2
    assert "--compile with the expert" in capsys.readouterr().err


def test_a_family_that_is_not_compiled_is_refused_by_name(loaded: LoadedPolicy) -> None:
    class Other:
        name = "xvla"

    with pytest.raises(NotCompiled, match=r"xvla.*smolvla.*no --compile"):
        engine_of(replace(loaded, policy=Other()), True)
