"""Changes that act only while a reading is beyond a threshold, in the toy world."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from toy_setup import SITE, TO_X, UP, InProcess, ToySetupSpec, toy_inputs, toy_study

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.experiment.design.plan import make_plan
from vla_sae_ros.study.experiment.measure.analysis import analyse
from vla_sae_ros.study.experiment.measure.measured import measure
from vla_sae_ros.study.experiment.records.files import ActingSteps, Trajectory
from vla_sae_ros.study.experiment.records.table import Row, read_table
from vla_sae_ros.study.experiment.report.verdict_rows import verdict_table
from vla_sae_ros.study.experiment.run.evaluation import evaluate
from vla_sae_ros.study.experiment.run.store import Store

EVERY = 5
"""Control steps between two inferences, 0.25 s."""


def study_of(*windows: dict[str, object], **keys: object) -> dict[str, object]:
    return {"windows": list(windows), "arms": ["none", "feature", "random_row"], **keys}


def made(folder: Path, keys: dict[str, object]) -> list[Row]:
    study = toy_study(**keys)
    with Store(folder) as store:
        evaluate(make_plan(study, toy_inputs(study)), store, InProcess(ToySetupSpec(), folder))
    return read_table(folder)


def of_arm(rows: list[Row], arm: str, condition: str | None = None) -> list[Row]:
    return [row for row in rows if row.arm == arm and condition in (None, row.condition)]


def test_a_lift_below_a_height_lifts_to_that_height_and_no_further(tmp_path: Path) -> None:
    """UP raises the toy's hand by 1 cm a step, from 0.2 m on."""
    when = {"reading": "height", "below": 0.27}
    rows = made(tmp_path, study_of({}, {"when": when}))
    told = "{reading: height, below: 0.27}"
    always, gated = of_arm(rows, "feature", "")[0], of_arm(rows, "feature", told)
    assert len(gated) == 2
    assert gated[0].dose == f"{SITE} add +0.5 residual_norm when {told}"
    highest = Trajectory.load(tmp_path / always.file).ee_position[:, 2].max()
    for row in gated:
        path = Trajectory.load(tmp_path / row.file)
        height = path.ee_position[:, 2]
        # It stops with the chunk in which it gets there.
        assert 0.27 <= height.max() < 0.27 + EVERY * 0.011 < highest
        acted = path.edit_ratio > 0
        assert acted.tolist() == (height[path.inference_steps] < 0.27).tolist()
        assert row.acted_share == pytest.approx(acted.mean())


def test_a_condition_on_a_feature_reads_the_inference_before_with_hysteresis(
    tmp_path: Path,
) -> None:
    """TO_X is the wish to go to the can in x: large far from it, small near it."""
    when = {"site": SITE, "feature": TO_X, "below": 0.35, "hysteresis": 0.1}
    places = [{"suite": "toy", "init_states": "0-3", "rollouts": 4}]
    rows = made(tmp_path, study_of({"when": when}, places=places))
    changes = 0
    for row in of_arm(rows, "feature") + of_arm(rows, "random_row"):
        path = Trajectory.load(tmp_path / row.file)
        where = path.feature_ids.tolist().index(TO_X)
        wanted, is_open = [False], False  # nothing was read before the first inference
        for read in path.natural[:-1, where].tolist():
            is_open = read < (0.45 if is_open else 0.35)
            wanted.append(is_open)
        assert (path.edit_ratio > 0).tolist() == wanted
        changes += sum(one != other for one, other in pairwise(wanted))
    assert changes >= 4, "the condition was seen to change"


def test_a_condition_holds_for_a_while_before_anything_acts(tmp_path: Path) -> None:
    rows = made(tmp_path, study_of({"when": {"reading": "step", "above": 3, "for": 0.5}}))
    for row in of_arm(rows, "feature"):
        path = Trajectory.load(tmp_path / row.file)
        # Above 3 from step 5 on, and so for half a second at step 15.
        assert (path.edit_ratio > 0).tolist() == (path.inference_steps >= 15).tolist()


def test_a_condition_narrows_a_window(tmp_path: Path) -> None:
    window = {"from": 5, "to": 12, "when": {"reading": "step", "above": 9}}
    (row, *_) = of_arm(made(tmp_path, study_of(window)), "feature")
    assert row.dose.endswith("[5:12 from start] when {reading: step, above: 9.0}")
    assert (row.window_from, row.window_to) == (5, 12)
    path = Trajectory.load(tmp_path / row.file)
    assert path.inference_steps[path.edit_ratio > 0].tolist() == [10]
    assert ActingSteps.load(tmp_path / row.file).span() == (10, 15)


def test_a_condition_that_never_holds_leaves_every_action_to_the_bit(tmp_path: Path) -> None:
    rows = made(tmp_path, study_of({"when": {"reading": "height", "above": 9.0}}))
    plain = {row.pair: row.actions_sha256 for row in of_arm(rows, "none")}
    steered = of_arm(rows, "feature") + of_arm(rows, "random_row")
    assert len(steered) == 6
    assert all(row.actions_sha256 == plain[row.pair] for row in steered)
    assert all(row.acted_share == 0.0 and row.condition for row in steered)


def test_a_run_is_repeated_to_the_bit_and_other_conditions_are_other_runs(tmp_path: Path) -> None:
    windows = ({}, {"when": {"reading": "height", "below": 0.27}})
    once, again = (made(tmp_path / name, study_of(*windows)) for name in ("a", "b"))
    assert [row.actions_sha256 for row in once] == [row.actions_sha256 for row in again]
    assert len({row.run_id for row in of_arm(once, "feature")}) == 4
    plain = toy_study(arms=["none", "feature", "random_row"])
    known = {run.run_id for run in make_plan(plain, toy_inputs(plain)).runs}
    assert {row.run_id for row in once if not row.condition} == known


def test_effects_are_measured_while_the_condition_let_it_act(tmp_path: Path) -> None:
    """Lifted for two chunks, early: over the whole episode the mean height says more."""
    when = {"reading": "step", "below": 10}
    rows = made(tmp_path, study_of({"when": when}, arms=["none", "feature"]))
    arm = next(one for one in measure(tmp_path, rows) if one.row.arm == "feature")
    height = [effect.name for effect in arm.effects].index("height")
    # Ten steps of 1 cm, looked at while they are taken: 5 cm on the mean; afterwards it is 10.
    assert np.nanmean(arm.values[:, height]) == pytest.approx(0.05, abs=0.011)


def test_verdicts_of_several_windows_are_told_apart(tmp_path: Path) -> None:
    when = {"reading": "height", "below": 0.27}
    made(tmp_path, study_of({}, {"when": when}))
    lines = verdict_table(analyse(tmp_path)).splitlines()
    headings = [line for line in lines if line.endswith(":")]
    assert headings == ["add:", "add, when {reading: height, below: 0.27}:"]
    assert [line.split()[:4] for line in lines if not line.endswith(":")] == [
        ["P2", SITE, ":", str(UP)]
    ] * 2


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"windows": [{"when": {"reading": "depth", "above": 1}}]}, "reading of `when`"),
        ({"windows": [{"when": {"site": "toy.9", "feature": 1, "above": 1}}]}, "toy.9"),
        ({"windows": [{"when": {"site": SITE, "feature": 999, "above": 1}}]}, "0 to 103"),
        ({"windows": [{"when": {"site": SITE, "feature": UP}}]}, "`above` or `below`"),
        (
            {"windows": [{"when": {"reading": "step", "above": 1}}], "protocols": ["P2", "P4"]},
            "P4",
        ),
    ],
)
def test_a_condition_that_cannot_be_is_refused_before_anything_runs(
    keys: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        study = toy_study(**keys)
        make_plan(study, toy_inputs(study))


def test_a_reading_that_an_environment_does_not_give_is_refused() -> None:
    study = toy_study(windows=[{"when": {"reading": "height", "above": 1}}])
    inputs = toy_inputs(study)
    fewer = type(inputs)(**{**vars(inputs), "readings": frozenset({"feature", "step"})})
    with pytest.raises(ConfigurationError, match=r"height.*feature, step"):
        make_plan(study, fewer)
