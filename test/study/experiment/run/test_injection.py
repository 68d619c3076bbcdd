"""Another episode's residual stream in the place of a rollout's own, in the toy world.

The toy policy moves the hand as the stream at SITE says, and closes the gripper as the state says:
with a donor's stream the hand must go the donor's way, wherever the can is.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_setup import LAST, SITE, TO_X, InProcess, ToySetupSpec, toy_inputs, toy_study

from vla_sae_ros.core.errors import ConfigurationError, RecordingError
from vla_sae_ros.sim.splits import EVALUATION_SEED
from vla_sae_ros.study.experiment.design.plan import Plan, PlannedRun, make_plan
from vla_sae_ros.study.experiment.records.files import Trajectory
from vla_sae_ros.study.experiment.records.outcome import Result
from vla_sae_ros.study.experiment.records.table import Row, read_table
from vla_sae_ros.study.experiment.report.study_report import write_study_report
from vla_sae_ros.study.experiment.run.evaluation import evaluate
from vla_sae_ros.study.experiment.run.store import Store

DONOR = {"task": "0", "init_state": 1, "seed": EVALUATION_SEED + 1}
"""The second of the study's own episodes."""


def keys_of(**keys: object) -> dict[str, object]:
    injection = [{"sites": [SITE], "donors": [DONOR]}]
    places = [{"suite": "toy", "init_states": "0-3", "rollouts": 3}]
    return {
        "arms": ["none", "injection"],
        "injection": injection,
        "places": places,
        "features": [],
        "changes": [],
        **keys,
    }


def plan_of(policy_batch: int = 1, **keys: object) -> Plan:
    study = toy_study(**keys_of(**keys))
    return make_plan(study, replace(toy_inputs(study), policy_batch=policy_batch))


def made(folder: Path, **keys: object) -> list[Row]:
    with Store(folder) as store:
        evaluate(plan_of(**keys), store, InProcess(ToySetupSpec(), folder))
    return read_table(folder)


def of_arm(rows: list[Row], arm: str) -> dict[int, Row]:
    """Return an arm's rows by their initial state."""
    return {row.init_state: row for row in rows if row.arm == arm}


def test_the_hand_goes_the_donors_way_and_then_its_own(tmp_path: Path) -> None:
    rows = made(tmp_path)
    plain, injected = of_arm(rows, "none"), of_arm(rows, "injection")
    paths = {
        (row.arm, row.init_state): Trajectory.load(tmp_path / row.file)
        for row in (*plain.values(), *injected.values())
    }
    donor = paths["none", 1]
    for state in (0, 2):
        own, changed = paths["none", state], paths["injection", state]
        steps = min(len(donor.actions), len(changed.actions))
        np.testing.assert_allclose(
            changed.actions[:steps, :3], donor.actions[:steps, :3], rtol=0, atol=1e-6
        )
        assert np.abs(own.actions[:5, :3] - donor.actions[:5, :3]).max() > 0.01
        inferences = len(donor.inference_steps)
        acted = changed.edit_ratio > 0
        assert acted[:inferences].all() and not acted[inferences:].any()
        assert injected[state].acted_share == pytest.approx(acted.mean())


def test_an_episode_played_into_itself_is_the_plain_one_to_the_bit(tmp_path: Path) -> None:
    rows = made(tmp_path)
    assert of_arm(rows, "injection")[1].actions_sha256 == of_arm(rows, "none")[1].actions_sha256
    assert of_arm(rows, "injection")[0].actions_sha256 != of_arm(rows, "none")[0].actions_sha256


def test_the_table_says_what_was_played_in(tmp_path: Path) -> None:
    injection = [{"sites": [SITE], "donors": [DONOR], "tokens": ["action"]}]
    row = of_arm(made(tmp_path, injection=injection), "injection")[0]
    assert (row.site, row.mode, row.dose) == (SITE, "", f"{SITE} injection")
    donor = f"toy 0 init 1 seed {EVALUATION_SEED + 1}"
    assert row.direction == f"injection:{donor} action tokens"
    assert row.arm_name == f"{row.direction} {SITE} injection"
    assert row.success is bool(row.success) and row.edit_ratio > 0


def test_in_a_window_only_its_inferences_have_the_donors_stream(tmp_path: Path) -> None:
    rows = made(tmp_path, windows=[{"from": 5, "to": 15}])
    changed, own, donor = (
        Trajectory.load(tmp_path / row.file)
        for row in (of_arm(rows, "injection")[0], of_arm(rows, "none")[0], of_arm(rows, "none")[1])
    )
    assert np.array_equal(changed.actions[:5], own.actions[:5])
    np.testing.assert_allclose(changed.actions[5:15, :3], donor.actions[5:15, :3], atol=1e-6)
    assert (changed.edit_ratio > 0).tolist() == [
        5 <= step < 15 for step in changed.inference_steps.tolist()
    ]
    assert of_arm(rows, "injection")[0].dose.endswith("[5:15 from start]")


def test_a_condition_lets_the_stream_in(tmp_path: Path) -> None:
    when = {"site": SITE, "feature": TO_X, "above": 0.2}
    rows = made(tmp_path, windows=[{"when": when}])
    path = Trajectory.load(tmp_path / of_arm(rows, "injection")[0].file)
    read = path.natural[:, path.feature_ids.tolist().index(TO_X)]
    acted = path.edit_ratio > 0
    inferences = min(len(read), 1 + 25 // 5)
    assert acted[:inferences].tolist() == [False, *(read[: inferences - 1] > 0.2).tolist()]
    assert acted.any()


def test_every_donor_at_every_site_is_an_arm_and_a_donor_is_made_once() -> None:
    donors = [DONOR, {"task": "0", "init_state": 2}]
    one, other = ({"sites": [SITE], "donors": each} for each in (donors, donors[:1]))
    plan = plan_of(injection=[one, {**other, "tokens": ["action"]}])
    kinds = [run.settings.kind for run in plan.runs]
    assert kinds[:2] == ["observations"] * 2 and kinds.count("observations") == 2
    assert plan.counts() == {("P2", "none"): 3, ("P2", "injection"): 9}
    names = {arm.name for run in plan.runs for arm in run.arms}
    assert len(names) == 4
    sources = {run.settings.sources for run in plan.runs if run.settings.injection is not None}
    assert sources == {(run.run_id,) for run in plan.runs[:2]}


class Remembering(InProcess):
    """A worker that knows what it was given, and cannot make some kind of run."""

    def __init__(self, folder: Path, broken: str = "") -> None:
        super().__init__(ToySetupSpec(), folder)
        self.given: list[PlannedRun] = []
        self._broken = broken

    def give(self, worker: int, run: PlannedRun) -> None:
        self.given.append(run)
        super().give(worker, run)

    def wait(self) -> list[tuple[int, Result | str]]:
        if self.given[-1].settings.kind == self._broken:
            return [(0, "it broke")]
        return super().wait()


def test_where_a_policy_is_shared_an_injection_has_one_of_its_own(tmp_path: Path) -> None:
    shared, alone = Remembering(tmp_path), Remembering(tmp_path)
    with Store(tmp_path) as store:
        evaluate(plan_of(policy_batch=4), store, shared, alone=alone)
    assert [run.settings.injection is not None for run in alone.given] == [True] * 3
    assert not any(run.settings.injection for run in shared.given)
    batches = {row.arm: row.policy_batch for row in read_table(tmp_path)}
    assert batches == {"none": 4, "injection": 1}


def test_without_its_donor_nothing_is_injected_and_the_reason_is_told(tmp_path: Path) -> None:
    with Store(tmp_path) as store, pytest.raises(RecordingError, match=r"donors.*lost\.jsonl"):
        evaluate(plan_of(), store, Remembering(tmp_path, "observations"))


def test_the_report_names_the_arm(tmp_path: Path) -> None:
    rows = made(tmp_path)
    page = tmp_path / "report.html"
    write_study_report(tmp_path, page)
    assert f"{SITE} of toy 0 init 1" in page.read_text()
    assert len(rows) == 6


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"injection": [{"sites": ["toy.9"], "donors": [DONOR]}]}, r"toy\.9"),
        ({"injection": [{"sites": [LAST], "donors": [DONOR]}]}, "nothing reads it"),
        ({"injection": [{"sites": [SITE], "donors": [DONOR], "tokens": ["camera"]}]}, "camera"),
        ({"injection": [{"sites": [], "donors": [DONOR]}]}, "injection.sites"),
        ({"injection": [{"sites": [SITE], "donors": []}]}, "injection.donors"),
        ({"arms": ["none"]}, "with the arm injection, and only with it"),
        ({"injection": []}, "with the arm injection, and only with it"),
        ({"protocols": ["P1"]}, "P2 among them"),
    ],
)
def test_an_injection_that_cannot_be_is_refused_before_anything_runs(
    keys: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        plan_of(**keys)
