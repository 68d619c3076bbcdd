"""The whole analysis on studies of which the truth is known."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted_study import Plan, Planted, write_planted_study
from toy_setup import SITE, UP, InProcess, ToySetupSpec, toy_inputs, toy_study

from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.study.experiment.design.plan import make_plan
from vla_sae_ros.study.experiment.measure.analysis import analyse
from vla_sae_ros.study.experiment.measure.findings import ArmEffects, find
from vla_sae_ros.study.experiment.measure.measured import measure
from vla_sae_ros.study.experiment.measure.verdicts import FeatureVerdict, verdicts
from vla_sae_ros.study.experiment.records.table import read_table, write_table
from vla_sae_ros.study.experiment.run.evaluation import evaluate
from vla_sae_ros.study.experiment.run.store import Store

LIFTS = Planted("end effector high", higher=0.06)
FEATURES = {
    80: LIFTS,
    81: Planted("end effector low", higher=0.06),
    82: Planted("gripper closed", closes=0.04),
    83: Planted("moving fast", faster=0.5),
    84: Planted("rising", higher=0.001),
    85: Planted("late in episode", aside=0.05),
    86: Planted(""),
    87: Planted("hand goes left", aside=0.05),
    88: Planted("hand goes right", aside=0.05),
    89: Planted("hand goes back", aside=0.05),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[ArmEffects]:
    folder = tmp_path_factory.mktemp("planted")
    rows = write_planted_study(folder, Plan(FEATURES, (0.25, 1.0), tasks=2, inits=7))
    return find(measure(folder, rows))


@pytest.fixture(scope="module")
def judged(found: list[ArmEffects]) -> dict[int, FeatureVerdict]:
    return {one.doses[0].arm.row.features[0]: one for one in verdicts(found, "P2")}


def test_the_direction_that_raises_the_hand_is_found(judged: dict[int, FeatureVerdict]) -> None:
    verdict = judged[80]
    assert verdict.outcome == "causal" and verdict.name_outcome == "as named"
    strongest = verdict.doses[-1].of("height")
    assert strongest is not None and strongest.low < 0.06 * 0.9 < strongest.high + 0.01
    assert strongest.mean == pytest.approx(0.06 * 0.87, rel=0.1), "less the steps before it acts"
    assert verdict.trends["height"].rho > 0.95 and verdict.trends["height"].p < 0.001


def test_each_feature_is_causal_for_what_was_planted(judged: dict[int, FeatureVerdict]) -> None:
    assert "gripper closed" in judged[82].counting and "height" not in judged[82].counting
    assert "speed" in judged[83].counting
    assert {"displacement", "left"} <= set(judged[85].counting)
    assert not {"height", "forward"} & set(judged[85].counting)


def test_names_are_judged_apart_from_effects(judged: dict[int, FeatureVerdict]) -> None:
    outcomes = {number: one.name_outcome for number, one in judged.items()}
    assert outcomes == {
        80: "as named",
        81: "opposite",
        82: "as named",
        83: "as named",
        84: "not shown",
        85: "not measured",
        86: "no name",
        87: "as named",
        88: "opposite",
        89: "not shown",
    }


def test_a_control_shows_nothing(judged: dict[int, FeatureVerdict]) -> None:
    assert judged[86].outcome == "none shown" and not judged[86].counting
    assert all(abs(one.mean) == 0 for dose in judged[86].doses for one in dose.estimates)


def test_an_effect_within_the_random_rows_does_not_count(
    judged: dict[int, FeatureVerdict],
) -> None:
    assert judged[84].outcome == "within random"
    height = judged[84].doses[-1].of("height")
    assert height is not None and height.significant and not height.counts


def test_success_is_a_cost_and_not_what_a_feature_is_causal_for(
    judged: dict[int, FeatureVerdict],
) -> None:
    at_full_strength = judged[80].doses[-1].of("success")
    assert at_full_strength is not None and at_full_strength.mean == -1.0
    mild = judged[80].cost("height")
    assert mild is not None and mild.mean > -0.2, "of the mildest dose that shows the effect"


def test_hooks_at_zero_are_identical_to_none(found: list[ArmEffects]) -> None:
    zero = next(one for one in found if one.arm.row.arm == "zero")
    assert zero.arm.identical == len(zero.arm.rows) == 14
    noise = next(one for one in found if one.arm.row.arm == "noise")
    assert noise.arm.identical == 0


def test_what_a_verdict_lacks_is_said(tmp_path: Path) -> None:
    def judged(**plan: int) -> tuple[str, str]:
        rows = write_planted_study(tmp_path, Plan({80: LIFTS}, tasks=1, **plan))
        verdict = verdicts(find(measure(tmp_path, rows)), "P2")[0]
        return verdict.outcome, verdict.missing

    outcome, missing = judged(inits=4)
    words = re.fullmatch(r"4 pairs, at least (\d+) needed", missing)
    assert outcome == "cannot tell" and words is not None
    needed = int(words[1])
    assert judged(inits=needed - 1)[0] == "cannot tell"
    assert judged(inits=needed)[0] == "causal"
    assert judged(inits=needed, random_rows=0) == ("cannot tell", "no random rows")


def test_open_loop_answers_are_paired_by_episode(tmp_path: Path) -> None:
    plan = Plan({80: LIFTS, 86: Planted("rising")}, tasks=1, inits=2, every_protocol=True)
    rows = write_planted_study(tmp_path, plan)
    one, other = verdicts(find(measure(tmp_path, rows)), "P1")
    assert one.outcome == "causal" and one.name_outcome == "as named"
    assert other.outcome == "none shown" and other.name_outcome == "not shown"
    assert one.doses[0].arm.pairs == tuple(f"episode {number}" for number in range(16))
    assert one.trends["upward command"].rho == pytest.approx(1.0)
    assert np.sign([dose.of("upward command").mean for dose in one.doses]).tolist() == [  # type: ignore[union-attr]
        -1,
        -1,
        -1,
        1,
        1,
        1,
    ]


def test_only_the_noise_arm_may_answer_from_other_seeds(tmp_path: Path) -> None:
    plan = Plan({80: LIFTS}, tasks=1, inits=2, every_protocol=True)
    rows = write_planted_study(tmp_path, plan)
    noise = next(row for row in rows if row.protocol == "P1" and row.arm == "noise")
    found = find(measure(tmp_path, rows))
    assert any(one.arm.row.arm == "noise" and one.arm.row.protocol == "P1" for one in found)
    rows[rows.index(noise)] = replace(noise, arm="gaussian")
    with pytest.raises(RecordingError, match=r"noise seeds .* got '\[99\]'"):
        measure(tmp_path, rows)


def test_through_the_engine_the_planted_feature_is_found_and_a_random_one_is_not(
    tmp_path: Path,
) -> None:
    silent = 20  # an axis that the toy policy does not read
    study = toy_study(
        features=[{"site": SITE, "labels": {UP: "end effector high", silent: "rising"}}],
        changes=[{"strengths": [0.3, 0.6]}],
        places=[{"suite": "toy", "init_states": "0-3", "rollouts": 9}],
        arms=["none", "zero", "feature", "random_row"],
        controls={"rows": 3},
    )
    plan = make_plan(study, toy_inputs(study))
    with Store(tmp_path) as store:
        evaluate(plan, store, InProcess(ToySetupSpec(), tmp_path))
    up, other = verdicts(find(measure(tmp_path, read_table(tmp_path))), "P2")
    assert (up.outcome, up.name_outcome) == ("causal", "as named")
    assert up.trends["height"].rho > 0.9
    assert (other.outcome, other.name_outcome) == ("none shown", "not shown")


def test_a_study_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path, [])
    with pytest.raises(RecordingError, match="no run has finished"):
        analyse(tmp_path)
