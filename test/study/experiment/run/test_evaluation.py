"""Whole studies in a toy world in which it is known what every feature does."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_setup import LAST, SITE, TO_X, UP, InProcess, ToySetupSpec, toy_inputs, toy_study

from vla_sae_ros.core.errors import ConfigurationError, RecordingError
from vla_sae_ros.study.experiment.design.plan import Plan, PlannedRun, make_plan
from vla_sae_ros.study.experiment.measure.checks import hook_at_zero, unread_sites
from vla_sae_ros.study.experiment.measure.measured import measure
from vla_sae_ros.study.experiment.records.files import Latency, Responses, Trajectory
from vla_sae_ros.study.experiment.records.table import TABLE_FILE, Row, read_table
from vla_sae_ros.study.experiment.run.evaluation import Tally, evaluate, missing
from vla_sae_ros.study.experiment.run.forecast import forecast
from vla_sae_ros.study.experiment.run.processes import Processes
from vla_sae_ros.study.experiment.run.store import JOURNAL, LOST, Store
from vla_sae_ros.study.experiment.run.worker_pool import Lost, Made, made_by

VECTOR = tuple(np.eye(64)[UP] * 3.0)


def plan_of(direction: str = "", **keys: object) -> Plan:
    study = toy_study(**keys)
    return make_plan(study, toy_inputs(study, mean_difference=direction))


def made(plan: Plan, folder: Path, limit: int = 0) -> Tally:
    with Store(folder) as store:
        return evaluate(plan, store, InProcess(ToySetupSpec({"up": VECTOR}), folder), limit)


def rows_of(folder: Path, arm: str) -> list[Row]:
    return [row for row in read_table(folder) if row.arm == arm]


def height(folder: Path, arm: str) -> float:
    """Return how far the hand of an arm rises in the first ten steps, on the mean [m]."""
    paths = [Trajectory.load(folder / row.file).ee_position for row in rows_of(folder, arm)]
    return float(np.mean([path[min(10, len(path) - 1), 2] - path[0, 2] for path in paths]))


def without_clock(rows: list[Row]) -> list[Row]:
    return [replace(row, seconds=0.0, worker="", attempt=1) for row in rows]


def test_the_planted_feature_raises_the_hand_and_its_controls_do_not(tmp_path: Path) -> None:
    plan = plan_of(
        "up",
        arms=[
            "none",
            "zero",
            "feature",
            "random_row",
            "gaussian",
            "prompt",
            "noise",
            "mean_difference",
        ],
        prompt="go left",
        mean_difference={"activations": "a"},
        controls={"rows": 5, "gaussian": 5},
    )
    tally = made(plan, tmp_path)
    assert tally == Tally(made=len(plan.runs))
    plain, steered = height(tmp_path, "none"), height(tmp_path, "feature")
    assert steered > plain + 0.05
    assert height(tmp_path, "mean_difference") == pytest.approx(steered)  # the same direction
    for arm in ("random_row", "gaussian"):
        assert abs(height(tmp_path, arm) - plain) < 0.3 * (steered - plain)
        for row in rows_of(tmp_path, arm):
            assert row.edit_ratio > 0 and row.acted_share == 1.0
    left = [Trajectory.load(tmp_path / row.file) for row in rows_of(tmp_path, "prompt")]
    assert all(one.ee_position[-1, 0] < 0 for one in left)
    assert {row.instruction for row in rows_of(tmp_path, "prompt")} == {"go left"}


def test_hooks_at_zero_are_bit_identical_and_a_difference_would_be_said(tmp_path: Path) -> None:
    made(plan_of(), tmp_path)
    rows = read_table(tmp_path)
    found = hook_at_zero(rows)
    assert found.compared == 2 and not found.differing
    assert "2 of 2 bit-identical" in found.in_words("hooks")
    broken = [replace(row, actions_sha256="0") if row.arm == "zero" else row for row in rows]
    assert len(hook_at_zero(broken).differing) == 2
    assert "NOT identical" in hook_at_zero(broken).in_words("hooks")
    noise, none = rows_of(tmp_path, "noise"), rows_of(tmp_path, "none")
    assert noise[0].noise_seed != none[0].noise_seed and noise[0].pair == none[0].pair


def test_a_trajectory_tells_what_happened_step_by_step(tmp_path: Path) -> None:
    made(plan_of(changes=[{"mode": "clamp", "unit": "observed_max", "strengths": [2.0]}]), tmp_path)
    row = rows_of(tmp_path, "feature")[0]
    path = Trajectory.load(tmp_path / row.file)
    steps = row.steps
    assert path.actions.shape == (steps, 7) and path.ee_position.shape == (steps + 1, 3)
    assert path.object_positions.shape == (steps + 1, 1, 3) and path.object_names == ["can_1"]
    np.testing.assert_allclose(
        np.diff(path.ee_position, axis=0), 0.02 * path.actions[:, :3], atol=1e-6
    )
    assert path.inference_steps.tolist() == list(range(0, steps, 5))
    assert path.feature_ids.tolist() == [UP] and path.feature_sites.tolist() == [SITE]
    np.testing.assert_allclose(path.natural[:, 0], 0.1, atol=1e-6)
    np.testing.assert_allclose(path.applied[:, 0], 1.0, atol=1e-6)  # 2 x 0.5
    assert (path.edit_ratio > 0).all() and row.edit_ratio == pytest.approx(path.edit_ratio.mean())
    assert path.grasped[-1, 0] == row.success
    plain = Trajectory.load(tmp_path / rows_of(tmp_path, "none")[0].file)
    assert plain.natural.shape == (len(plain.inference_steps), 0)


def test_a_window_after_an_event_acts_from_there_on(tmp_path: Path) -> None:
    made(
        plan_of(windows=[{"from": 5, "to": 15}, {"after": "close", "from": 0}], arms=["feature"]),
        tmp_path,
    )
    for row in rows_of(tmp_path, "feature"):
        path = Trajectory.load(tmp_path / row.file)
        acted = path.inference_steps[path.edit_ratio > 0].tolist()
        if row.window_event == "start":
            assert acted == [5, 10]
        else:
            closing = np.flatnonzero(path.actions[:, 6] > 0)
            since = closing[0] + 1 if len(closing) else row.steps
            assert acted == [step for step in path.inference_steps.tolist() if step >= since]


def test_an_edit_in_a_window_is_measured_while_its_chunks_are_executed(tmp_path: Path) -> None:
    made(plan_of(windows=[{"from": 5, "to": 15}], arms=["none", "feature"]), tmp_path)
    rows = read_table(tmp_path)
    plain = {row.pair: Trajectory.load(tmp_path / row.file) for row in rows_of(tmp_path, "none")}
    measured = {arm.row.dose: arm for arm in measure(tmp_path, rows)}
    for dose, arm in measured.items():
        number = [effect.name for effect in arm.effects].index("height")
        for row, value in zip(arm.rows, arm.values[:, number], strict=True):
            steered = Trajectory.load(tmp_path / row.file).ee_position[6:16, 2]
            rise = steered - plain[row.pair].ee_position[6:16, 2]
            assert value == pytest.approx(rise.mean()) and rise[-1] > rise[0] > 0, dose


def test_an_unread_site_moves_nothing_and_a_read_one_does(tmp_path: Path) -> None:
    made(plan_of(protocols=["P4"], layers={"directions": 2}), tmp_path)
    rows = read_table(tmp_path)
    found = unread_sites(rows, [LAST])
    assert found.compared == 4 and not found.differing
    assert len(unread_sites(rows, [SITE]).differing) == 4
    ratios = [row.edit_ratio for row in rows if row.site]
    np.testing.assert_allclose(ratios, 0.5, rtol=1e-5)  # as hard at every site


def test_removing_what_brings_the_hand_to_the_can_costs_success(tmp_path: Path) -> None:
    plan = plan_of(protocols=["P3"], necessity={"site": SITE, "features": 2})
    made(plan, tmp_path)
    assert all(row.success for row in rows_of(tmp_path, "none"))
    assert not any(row.success for row in rows_of(tmp_path, "top_general"))  # UP and TO_Y
    row = rows_of(tmp_path, "top_general")[0]
    assert row.features == (UP, TO_X + 1) and row.mode == "project_out" and row.carrier == -1


def test_open_loop_answers_the_same_observations_in_every_arm(tmp_path: Path) -> None:
    plan = plan_of(
        protocols=["P1", "P5"],
        latency=10,
        changes=[{"strengths": [-0.5, 0.25, 0.5]}],
        observations={"count": 4, "every": 5, "noise_seeds": [0, 1]},
    )
    made(plan, tmp_path)
    rows = [row for row in read_table(tmp_path) if row.protocol == "P1"]
    answers = {row.arm_name: Responses.load(tmp_path / row.file) for row in rows}
    plain = answers["none"]
    assert plain.actions.shape == (8, 6, 7) and set(plain.episode.tolist()) == {0, 1}
    for one in answers.values():
        assert one.observation.tolist() == plain.observation.tolist()
    up = {
        row.strength: (answers[row.arm_name].actions - plain.actions)[:, 0, 2].mean()
        for row in rows
        if row.arm == "feature"
    }
    assert [up[dose] for dose in (-0.5, 0.25, 0.5)] == pytest.approx([-0.5, 0.25, 0.5], abs=1e-5)
    assert not hook_at_zero(rows).differing and hook_at_zero(rows).compared == 1
    latency = {
        row.arm: Latency.load(tmp_path / row.file)
        for row in read_table(tmp_path)
        if row.protocol == "P5"
    }
    assert latency["feature"].answers_after == 1 and latency["feature"].restored
    assert latency["zero"].answers_after == -1 and len(latency["none"].milliseconds) == 10


def test_too_few_observations_are_said_before_anything_is_answered(tmp_path: Path) -> None:
    plan = plan_of(protocols=["P1"], observations={"count": 500, "every": 5})
    with pytest.raises(RecordingError, match=r"allowed: 500 for the open loop.*finished runs"):
        made(plan, tmp_path)
    assert {run.settings.kind for run in missing(plan, Store(tmp_path))} == {"open_loop"}


def test_nothing_is_made_twice_and_a_larger_study_makes_the_difference(tmp_path: Path) -> None:
    plan = plan_of()
    assert made(plan, tmp_path, limit=3).made == 3
    assert made(plan, tmp_path).made == len(plan.runs) - 3
    assert made(plan, tmp_path).made == 0
    larger = plan_of(changes=[{"strengths": [0.5, 1.0]}])
    assert made(larger, tmp_path).made == len(larger.runs) - len(plan.runs)


def test_videos_are_kept_of_what_was_asked_for(tmp_path: Path) -> None:
    made(plan_of(keep={"videos": ["feature"], "pairs": 1}, arms=["feature"]), tmp_path)
    filmed = [row for row in read_table(tmp_path) if row.video]
    assert [row.arm for row in filmed] == ["feature"]
    assert b"ftyp" in (tmp_path / filmed[0].video).read_bytes()[:16]


def test_the_forecast_is_the_measured_rate(tmp_path: Path) -> None:
    plan = plan_of()
    with Store(tmp_path) as store:
        assert forecast(plan, store, 2).hours is None
        assert "no estimate" in forecast(plan, store, 2).in_words()
    made(plan, tmp_path, limit=4)
    with Store(tmp_path) as store:
        seconds = sum(one.outcome.seconds for one in store.finished.values()) / 4
        found = forecast(plan, store, 2)
    assert found.left == len(plan.runs) - 4
    assert found.hours == pytest.approx(found.left * seconds / 2 / 3600)
    assert found.bytes is not None and found.bytes > 0


def test_two_writers_and_a_damaged_journal_are_refused(tmp_path: Path) -> None:
    made(plan_of(), tmp_path, limit=2)
    with Store(tmp_path), pytest.raises(ConfigurationError, match="another process"):
        Store(tmp_path)
    journal = tmp_path / JOURNAL
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text(lines[0] + lines[1][:40])  # killed while writing
    with Store(tmp_path) as store:
        assert len(store.finished) == 1
    assert journal.read_text() == lines[0]
    journal.write_text("{}\n" + lines[0])
    with pytest.raises(RecordingError, match="Line 1"):
        Store(tmp_path)


def test_a_run_whose_file_is_gone_is_made_again(tmp_path: Path) -> None:
    plan = plan_of()
    made(plan, tmp_path, limit=2)
    next((tmp_path / "files").iterdir()).unlink()
    assert made(plan, tmp_path, limit=1).made == 1
    with Store(tmp_path) as store:
        assert len(missing(plan, store)) == len(plan.runs) - 2


KILLED = """
import os, signal, sys
from pathlib import Path
from toy_setup import InProcess, ToySetupSpec, toy_inputs, toy_study
from vla_sae_ros.study.experiment.run.evaluation import evaluate
from vla_sae_ros.study.experiment.design.plan import make_plan
from vla_sae_ros.study.experiment.run.store import Store
folder, left = Path(sys.argv[1]), [5]
def finished(run):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
study = toy_study()
evaluate(make_plan(study, toy_inputs(study)), Store(folder), InProcess(ToySetupSpec(), folder),
         finished=finished)
"""


def test_kill_9_costs_what_was_under_way_and_the_table_ends_the_same(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "a")], env=environment, check=False
    )
    assert killed.returncode == -signal.SIGKILL and not (tmp_path / "a" / TABLE_FILE).exists()
    plan = plan_of()
    assert made(plan, tmp_path / "a").made == len(plan.runs) - 5
    made(plan, tmp_path / "b")
    again, whole = (without_clock(read_table(tmp_path / name)) for name in "ab")
    assert again == whole


@pytest.mark.slow  # each worker imports torch
def test_a_killed_worker_costs_its_run_only_and_is_replaced_and_counted(tmp_path: Path) -> None:
    deadly = tmp_path / "deadly"
    deadly.touch()
    plan = plan_of(
        places=[{"suite": "toy", "init_states": "0-3", "rollouts": 4}], arms=["none", "feature"]
    )
    said: list[str] = []
    pool = Processes(2, ToySetupSpec(killed_by=deadly), tmp_path / "a")
    try:
        with Store(tmp_path / "a") as store:
            tally = evaluate(plan, store, pool, said=said.append)
    finally:
        pool.close()
    assert tally == Tally(made=len(plan.runs), lost=1, given_up=0)
    assert len(said) == 1 and "status -9" in said[0] and "begun again" in said[0]
    assert not multiprocessing.active_children()
    made(plan, tmp_path / "b")
    found, wanted = (read_table(tmp_path / name) for name in "ab")
    assert without_clock(found) == without_clock(wanted)
    assert [row.attempt for row in found].count(2) == 1
    assert len({row.worker for row in found}) in (2, 3)


class FailingPool(InProcess):
    """Fails every run of the arm "feature"."""

    def wait(self) -> list:
        assert self._run is not None
        if self._run.arms[0].arm == "feature":
            return [(0, "SimulationError: it broke")]
        return super().wait()


def test_what_fails_again_is_given_up_and_the_rest_is_made(tmp_path: Path) -> None:
    plan = plan_of()
    with Store(tmp_path) as store:
        tally = evaluate(plan, store, FailingPool(ToySetupSpec(), tmp_path), said=lambda text: None)
    assert tally == Tally(made=len(plan.runs) - 2, lost=4, given_up=2)
    assert not rows_of(tmp_path, "feature")
    lost = [json.loads(line) for line in (tmp_path / LOST).read_text().splitlines()]
    assert [one["again"] for one in lost].count(True) == 2 and len(lost) == 4
    assert {one["reason"] for one in lost} == {"SimulationError: it broke"}
    assert {one["run_id"] for one in lost}.isdisjoint(one.run_id for one in read_table(tmp_path))


def test_runs_are_begun_in_the_order_of_the_plan(tmp_path: Path) -> None:
    plan = plan_of()
    begun: list[PlannedRun] = []
    for event in made_by(InProcess(ToySetupSpec(), tmp_path), plan.runs):
        assert isinstance(event, Made) and not isinstance(event, Lost)
        begun.append(event.run)
    assert begun == list(plan.runs)
