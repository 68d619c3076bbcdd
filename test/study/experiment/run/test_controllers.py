"""Changes whose share a controller sets, in the toy world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_setup import SITE, TO_X, InProcess, ToySetupSpec, toy_inputs, toy_study

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.study.experiment.design.plan import make_plan
from vla_sae_ros.study.experiment.measure.analysis import analyse
from vla_sae_ros.study.experiment.records.files import Trajectory
from vla_sae_ros.study.experiment.records.table import Row, read_table
from vla_sae_ros.study.experiment.report.verdict_rows import verdict_table
from vla_sae_ros.study.experiment.run.evaluation import evaluate
from vla_sae_ros.study.experiment.run.store import Store

HEIGHT = {"reading": "height", "at": 0.25, "kp": 10.0, "bounds": [0.0, 1.0]}
"""UP raises the toy's hand by 1 cm a step at full strength, from 0.2 m on."""
EVERY = 0.25  # [s] between two inferences


def made(folder: Path, *windows: dict[str, Any], **keys: Any) -> list[Row]:
    arms = ["none", "feature", "random_row"]
    study = toy_study(windows=list(windows), **{"arms": arms, **keys})
    with Store(folder) as store:
        evaluate(make_plan(study, toy_inputs(study)), store, InProcess(ToySetupSpec(), folder))
    return read_table(folder)


def of_arm(rows: list[Row], arm: str) -> list[Row]:
    return [row for row in rows if row.arm == arm]


def shares(path: Trajectory) -> np.ndarray:
    """Return the share that acted in each inference but the last, from how far the hand rose."""
    return np.diff(path.ee_position[path.inference_steps, 2]) / (5 * 0.01)


def test_the_share_is_what_proportional_control_asks_for(tmp_path: Path) -> None:
    rows = of_arm(made(tmp_path, {"control": HEIGHT}), "feature")
    assert len(rows) == 2
    for row in rows:
        path = Trajectory.load(tmp_path / row.file)
        height = path.ee_position[path.inference_steps, 2]
        wanted = np.clip(10.0 * (0.25 - height), 0.0, 1.0)
        np.testing.assert_allclose(shares(path), wanted[:-1], atol=1e-3)
        assert wanted.min() < 0.1 and wanted.max() == pytest.approx(0.5)
        assert row.dose.endswith(
            "controlled by {reading: height, at: 0.25, kp: 10.0, bounds: [0.0, 1.0]}"
        )


def test_integral_control_adds_up_the_error_over_observation_time(tmp_path: Path) -> None:
    integral = {**HEIGHT, "kp": 0.0, "ki": 20.0}
    (row, *_) = of_arm(made(tmp_path, {"control": integral}), "feature")
    path = Trajectory.load(tmp_path / row.file)
    error = 0.25 - path.ee_position[path.inference_steps, 2]
    seconds = np.full(len(error), EVERY)
    seconds[0] = 0.0  # nothing has passed before the first inference
    wanted = np.cumsum(20.0 * error * seconds)
    assert (wanted >= 0.0).all() and (wanted <= 1.0).all(), "no bound was met"
    np.testing.assert_allclose(shares(path), wanted[:-1], atol=1e-3)


def test_the_share_changes_no_faster_than_its_slew(tmp_path: Path) -> None:
    (row, *_) = of_arm(made(tmp_path, {"control": {**HEIGHT, "slew": 0.4}}), "feature")
    share = shares(Trajectory.load(tmp_path / row.file))
    np.testing.assert_allclose(share[:4], np.arange(len(share[:4])) * 0.4 * EVERY, atol=1e-3)
    assert share[0] == pytest.approx(0.0, abs=1e-6), "it starts from nothing"


def test_outside_its_window_nothing_acts_and_inside_it_starts_anew(tmp_path: Path) -> None:
    (row, *_) = of_arm(made(tmp_path, {"from": 10, "to": 20, "control": HEIGHT}), "feature")
    path = Trajectory.load(tmp_path / row.file)
    steps = path.inference_steps
    inside = (steps >= 10) & (steps < 20) & (path.ee_position[steps, 2] < 0.25)
    assert ((path.edit_ratio > 0) == inside).all() and inside.any()


def test_a_feature_is_read_from_the_inference_before(tmp_path: Path) -> None:
    control = {"site": SITE, "feature": TO_X, "at": 0.0, "kp": -1.0, "bounds": [0.0, 1.0]}
    for row in of_arm(made(tmp_path, {"control": control}), "feature"):
        path = Trajectory.load(tmp_path / row.file)
        read = path.natural[:, path.feature_ids.tolist().index(TO_X)]
        assert path.edit_ratio[0] == 0.0
        wanted = np.clip(read, 0.0, 1.0)
        np.testing.assert_allclose(shares(path)[1:], wanted[:-2], atol=1e-3)


def test_runs_repeat_to_the_bit_and_are_told_apart(tmp_path: Path) -> None:
    windows = ({}, {"control": HEIGHT})
    once, again = (made(tmp_path / name, *windows) for name in ("a", "b"))
    assert [row.actions_sha256 for row in once] == [row.actions_sha256 for row in again]
    plain = toy_study(arms=["none", "feature", "random_row"])
    known = {run.run_id for run in make_plan(plain, toy_inputs(plain)).runs}
    assert {row.run_id for row in once if not row.control} == known
    headings = [
        line for line in verdict_table(analyse(tmp_path / "a")).splitlines() if line.endswith(":")
    ]
    assert len(headings) == 2 and "controlled by {reading: height" in headings[1]


@pytest.mark.parametrize(
    ("control", "words"),
    [
        ({**HEIGHT, "reading": "depth"}, "reading of `control`"),
        ({**HEIGHT, "bounds": [0.0, 2.0]}, r"bounds of `windows.control`.*within 0 to 1"),
        ({**HEIGHT, "bounds": [-0.5, 1.0]}, r"bounds of `windows.control`.*within 0 to 1"),
        ({"site": "toy.9", "at": 0.0, "kp": 1.0, "bounds": [0.0, 1.0]}, "toy.9"),
        ({**HEIGHT, "kp": 0.0}, "kp, ki of `control`"),
    ],
)
def test_a_controller_that_cannot_be_is_refused_before_anything_runs(
    control: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        study = toy_study(windows=[{"control": control}])
        make_plan(study, toy_inputs(study))
