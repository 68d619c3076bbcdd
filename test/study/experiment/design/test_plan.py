"""Plans: which runs a study makes, and in which order."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch
import toy_setup
from toy_setup import LAST, SILENT, SITE, UP, toy_inputs, toy_study

from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import Directions, SaeBundle
from vla_sae_ros.sae.bundle import BundleCard
from vla_sae_ros.study.experiment.design.plan import Plan, PlannedRun, make_plan
from vla_sae_ros.study.experiment.design.settings import Pair, RunSettings
from vla_sae_ros.study.experiment.run.hooks import wanted


def plan_of(**keys: object) -> Plan:
    study = toy_study(**keys)
    return make_plan(study, toy_inputs(study))


def arms_of(plan: Plan, arm: str) -> list[PlannedRun]:
    return [run for run in plan.runs if any(one.arm == arm for one in run.arms)]


def test_every_arm_starts_from_the_same_states_and_seeds() -> None:
    plan = plan_of()
    assert plan.counts() == {
        ("P2", "none"): 2,
        ("P2", "zero"): 2,
        ("P2", "noise"): 2,
        ("P2", "feature"): 2,
        ("P2", "random_row"): 4,
        ("P2", "gaussian"): 4,
        ("P2", "random_alive"): 2,
    }
    pairs = {run.settings.pair.text for run in arms_of(plan, "none")}
    for run in plan.runs:
        assert run.settings.pair.text in pairs
        if run.arms[0].arm != "noise":
            assert run.settings.noise_seeds == (run.settings.pair.seed,)


def test_an_interrupted_plan_has_whole_pairs() -> None:
    rounds = [run.settings.pair.init_state for run in plan_of().runs]
    assert rounds == sorted(rounds)


def test_the_same_plan_has_the_same_ids_and_any_setting_changes_them() -> None:
    def ids(**keys: object) -> set[str]:
        return {run.run_id for run in arms_of(plan_of(**keys), "feature")}

    assert ids() == ids() == ids(name="other")
    for changed in (
        {"cap": 2.0},
        {"execute_steps": 3},
        {"max_steps": 9},
        {"windows": [{"to": 5}]},
        {"changes": [{"strengths": [0.25]}]},
        {"features": [{"site": SITE, "ids": [1]}]},
        {"places": [{"suite": "toy", "rollouts": 2, "first_seed": 5}]},
        {"places": [{"suite": "toy", "rollouts": 2, "move": 0.01}]},
        {"places": [{"suite": "toy", "rollouts": 2, "instruction": "go left"}]},
    ):
        assert not ids() & ids(**changed), changed


def test_a_longer_study_takes_the_runs_of_the_shorter_one() -> None:
    short = plan_of()
    long = plan_of(
        places=[{"suite": "toy", "init_states": "0-3", "rollouts": 4}],
        changes=[{"strengths": [0.5, 1.0]}],
    )
    assert {run.run_id for run in short.runs} < {run.run_id for run in long.runs}


def test_controls_go_as_far_as_the_feature_and_are_shared_where_they_can_be() -> None:
    two = {"features": [{"site": SITE, "ids": [UP, 1]}]}
    shared = plan_of(**two)
    assert len(arms_of(shared, "random_row")) == 4  # 2 rows x 2 rollouts, for both features
    assert {run.settings.changes[0].carrier for run in arms_of(shared, "gaussian")} == {-1}
    clamp = [{"mode": "clamp", "unit": "observed_max", "strengths": [2.0]}]
    own = plan_of(**two, changes=clamp)
    assert len(arms_of(own, "random_row")) == 8
    assert {run.settings.changes[0].carrier for run in arms_of(own, "gaussian")} == {UP, 1}
    doses = {arm.dose for run in own.runs for arm in run.arms if arm.changes}
    assert doses == {f"{SITE} clamp +2 observed_max"}


def test_controls_are_no_studied_features_while_there_are_others() -> None:
    plan = plan_of()
    rows = {run.settings.changes[0].direction for run in arms_of(plan, "random_row")}
    alive = {run.arms[0].features for run in arms_of(plan, "random_alive")}
    assert len(rows) == 2 and "row:0" not in rows and (SILENT,) not in alive
    everything = plan_of(features=[{"site": SITE, "all": True}], arms=["feature", "random_row"])
    assert len(arms_of(everything, "random_row")) == 4


def test_a_run_of_two_protocols_is_made_once() -> None:
    plan = plan_of(protocols=["P2", "P3", "P4"], necessity={"site": SITE}, layers={"directions": 1})
    plain = arms_of(plan, "none")
    assert [[arm.protocol for arm in run.arms] for run in plain] == [["P2", "P3", "P4"]] * 2
    assert len({run.run_id for run in plan.runs}) == len(plan.runs)


@pytest.mark.parametrize(
    "twice",
    [
        {"changes": [{"strengths": [0.5, 0.5]}]},
        {"changes": [{"strengths": [0.5]}, {"strengths": [0.5]}]},
        {"windows": [{}, {}]},
        {"protocols": ["P2", "P2"]},
        {"places": [{"suite": "toy", "rollouts": 2}, {"suite": "toy", "rollouts": 1}]},
    ],
)
def test_what_a_study_asks_for_twice_is_no_second_pair(twice: dict[str, object]) -> None:
    assert plan_of(**twice).counts() == plan_of().counts()


@pytest.mark.parametrize(
    "different",
    [
        {"changes": [{"strengths": [0.5, 0.5000000001]}]},
        {
            "places": [
                {"suite": "toy", "rollouts": 2},
                {"suite": "toy", "rollouts": 2, "instruction": "go left"},
            ]
        },
    ],
)
def test_different_runs_that_the_table_would_take_for_one_are_refused(
    different: dict[str, object],
) -> None:
    with pytest.raises(ConfigurationError, match="two different ones of P2"):
        plan_of(**different)


def test_necessity_projects_out_the_most_general_features_and_draws_others() -> None:
    plan = plan_of(protocols=["P3"], necessity={"site": SITE, "features": 3})
    (top,) = {run.arms[0].features for run in arms_of(plan, "top_general")}
    (general,) = {run.arms[0].features for run in arms_of(plan, "random_general")}
    (memorized,) = {run.arms[0].features for run in arms_of(plan, "random_memorized")}
    assert top == (0, 2, 4) and not set(top) & set(general)
    assert all(one % 2 == 0 for one in general) and all(one % 2 for one in memorized)
    changes = arms_of(plan, "top_general")[0].settings.changes
    assert {one.mode for one in changes} == {"project_out"}


def test_necessity_draws_several_sets_of_a_kind_that_share_no_feature() -> None:
    kinds = ["random_memorized", "random_any"]
    plan = plan_of(
        protocols=["P3"], necessity={"site": SITE, "features": 2, "kinds": kinds, "draws": 3}
    )
    assert {arm for _, arm in plan.counts()} == {"none", *kinds}
    for kind in kinds:
        sets = {run.arms[0].features for run in arms_of(plan, kind)}
        assert len(sets) == 3 and len({one for each in sets for one in each}) == 6
    drawn = {one for run in arms_of(plan, "random_any") for one in run.arms[0].features}
    assert {one % 2 for one in drawn} == {0, 1} and SILENT not in drawn
    with pytest.raises(ConfigurationError, match=r"kinds.*random_alive"):
        plan_of(protocols=["P3"], necessity={"site": SITE, "kinds": ["random_alive"]})


def test_necessity_of_chosen_features_draws_as_many_others() -> None:
    wanted = {"site": SITE, "kinds": ["chosen", "random_any"], "ids": [1, 4, 6], "draws": 2}
    plan = plan_of(protocols=["P3"], necessity=wanted)
    (own,) = {run.arms[0].features for run in arms_of(plan, "chosen")}
    others = {run.arms[0].features for run in arms_of(plan, "random_any")}
    assert own == (1, 4, 6) and len(others) == 2
    assert all(len(one) == 3 and not set(one) & set(own) for one in others)
    for ids in ([], [1, 1], [999]):
        with pytest.raises(ConfigurationError, match=r"chosen|0 to"):
            plan_of(protocols=["P3"], necessity=wanted | {"ids": ids})


def test_open_loop_looks_at_observations_of_plain_rollouts_and_has_no_windows() -> None:
    plan = plan_of(
        protocols=["P1", "P5"],
        observations={"count": 6, "every": 5},
        windows=[{"to": 5}, {"to": 9}],
    )
    observing = [run for run in plan.runs if run.settings.kind == "observations"]
    assert plan.runs[: len(observing)] == tuple(observing) and not observing[0].arms
    sources = tuple(run.run_id for run in observing)
    assert all(run.settings.sources == sources for run in plan.runs[len(observing) :])
    assert plan.counts()["P1", "feature"] == 1 and plan.counts()["P5", "feature"] == 1


def test_every_layer_is_swept_the_one_that_nothing_reads_too() -> None:
    plan = plan_of(protocols=["P4"], layers={"directions": 3})
    sites = [run.settings.changes[0].site for run in arms_of(plan, "gaussian")]
    assert sites.count(SITE) == sites.count(LAST) == 3 * 2


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"features": [{"site": LAST, "ids": [0]}]}, "without an SAE.*toy.0"),
        ({"features": [{"site": SITE, "ids": [999]}]}, "999.*0 to 103"),
        ({"features": [{"site": SITE, "top_general": 99}]}, "99 asked for.*up to 52"),
        ({"controls": {"rows": 200}}, "200 asked for"),
        ({"protocols": ["P4"], "layers": {"sites": ["moon"]}}, "toy.0, toy.1"),
        (
            {
                "features": [{"site": SITE, "ids": [SILENT]}],
                "changes": [{"mode": "clamp", "unit": "observed_max", "strengths": [1]}],
            },
            "without an observed maximum.*residual_norm",
        ),
    ],
)
def test_what_cannot_be_steered_is_refused_before_anything_runs(
    changed: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        plan_of(**changed)


def test_a_site_that_nothing_reads_is_refused_for_steering() -> None:
    study = toy_study(features=[{"site": LAST, "ids": [0]}])
    inputs = toy_inputs(study)
    bundles = {SITE: inputs.bundles[SITE], LAST: inputs.bundles[SITE]}
    unread = toy_setup.StudyInputs(
        inputs.policy_id, inputs.sites, bundles, inputs.tasks, inputs.init_states, {}
    )
    with pytest.raises(ConfigurationError, match=r"nothing reads it.*toy.0"):
        make_plan(study, unread)


def test_directions_are_planned_and_steered_like_features_under_their_own_name() -> None:
    beside = SITE + ".directions"
    rows = torch.eye(toy_setup.WIDTH)[:2]
    sae = Directions.of_rows(rows, torch.zeros(2), torch.full((2,), 0.5))
    card = BundleCard(
        *toy_setup.POLICY,
        beside,
        toy_setup.WIDTH,
        2,
        2,
        "mean",
        ("action",),
        "none",
        3.0,
        1.0,
        kind="directions",
    )
    entries = [FeatureEntry(0, label="probe: height", observed_max=2.0), FeatureEntry(1)]
    bundle = SaeBundle(sae, card, Catalogue(beside, entries))
    study = toy_study(
        features=[{"site": beside, "ids": [0]}],
        arms=["none", "feature", "gaussian"],
        controls={"rows": 0, "gaussian": 2, "alive": 0},
    )
    inputs = toy_inputs(study)
    plan = make_plan(study, replace(inputs, bundles={**inputs.bundles, beside: bundle}))
    assert plan.counts() == {("P2", "none"): 2, ("P2", "feature"): 2, ("P2", "gaussian"): 4}
    steered = arms_of(plan, "feature")[0]
    assert steered.arms[0].label == "probe: height"
    setup = toy_setup.ToySetup(toy_setup.ToySetupSpec())
    setup.bundles = {**setup.bundles, beside: bundle}
    found = wanted(setup, steered.settings)
    (edit,) = found.edits[beside]
    # 0.5 mean residual norms of 3 along a row of length 0.5 are 3 spreads.
    assert (edit.feature, edit.value) == (0, pytest.approx(3.0))
    assert [one.card.site for one in found.bundles] == [beside]


def test_twenty_thousand_rollouts_are_planned_without_surprises() -> None:
    study = toy_study(
        features=[{"site": SITE, "ids": list(range(10))}],
        changes=[{"strengths": [0.1 * n for n in range(1, 11)]}],
        controls={"rows": 10, "gaussian": 10, "alive": 10},
        places=[{"suite": "toy", "init_states": "0-3", "rollouts": 50}],
    )
    started = time.process_time()
    plan = make_plan(study, toy_inputs(study))
    seconds = time.process_time() - started
    assert len(plan.runs) == 50 * (3 + 10 * (10 + 10 + 10 + 10)) == 20150
    assert len({run.run_id for run in plan.runs}) == 20150
    assert seconds < 60  # a few, in truth; a quadratic planner would take hours


def test_runs_keep_the_ids_that_they_had_before_later_settings_were_there() -> None:
    pair = Pair("libero_object", "0", 40, 7)
    rollout = RunSettings("rollout", "p", pair, "bring it", (7,), 100, 5, 1.5)
    looking = RunSettings("open_loop", "p", None, "", (0, 1), 8, 5, 1.5, sources=("a", "b"))
    assert (rollout.run_id, looking.run_id) == ("f21565fa3dd94900", "b0f87d4925495b2c")
    batched = replace(rollout, policy_batch=2)
    others = {rollout, batched, replace(rollout, policy_batch=4)}
    others.add(replace(rollout, render_quality="quick"))
    others.add(replace(rollout, names=(("agentview", "camera1"),)))
    others.add(replace(rollout, compiled=True))
    others.add(replace(rollout, unnorm_key="libero_object"))
    assert len({one.run_id for one in others}) == 7


def test_runs_execute_no_more_than_the_policy_s_chunk_and_say_its_data_set() -> None:
    study = toy_study(protocols=["P1", "P2", "P5"], observations={"count": 4, "every": 5})
    inputs = replace(toy_inputs(study), chunk_length=1, unnorm_key="libero_object")
    for run in make_plan(study, inputs).runs:
        assert (run.settings.execute_steps, run.settings.unnorm_key) == (1, "libero_object")
    with pytest.raises(ConfigurationError, match=r"`execute_steps`.*got 3.*1 to 1"):
        make_plan(toy_study(execute_steps=3), inputs)


def test_a_batch_and_a_quality_are_part_of_every_run_but_latency_is_measured_alone() -> None:
    study = toy_study(protocols=["P1", "P2", "P5"], observations={"count": 4, "every": 5})
    inputs = replace(toy_inputs(study), policy_batch=4, render_quality="quick")
    runs = make_plan(study, inputs).runs
    plain = {run.run_id for run in make_plan(study, toy_inputs(study)).runs}
    assert {run.settings.kind for run in runs} == {
        "observations",
        "rollout",
        "open_loop",
        "latency",
    }
    for run in runs:
        assert run.settings.render_quality == "quick" and run.run_id not in plain
        assert run.settings.policy_batch == (1 if run.settings.kind == "latency" else 4)
