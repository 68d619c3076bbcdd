"""The steering state against its written semantics."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vla_sae_ros.core.errors import LONGEST_REASON, SteeringRefused
from vla_sae_ros.core.steering import (
    Edit,
    EventKind,
    Mode,
    Phase,
    Steering,
    SteeringLimits,
    SteeringSite,
    Unit,
)


class FakeClock:
    """Wall time that moves only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make_sites() -> list[SteeringSite]:
    observed = np.array([2.0, 1.0, 0.5, 0.0], np.float32)
    groups = ("camera", "language", "state")
    return [
        SteeringSite("backbone.0", observed, 40.0, groups),
        SteeringSite("expert.0", observed, 20.0, ("action",), denoising_steps=10),
        SteeringSite("backbone.3", observed, 40.0, groups, why_not="nothing reads the last layer"),
    ]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def steering(clock: FakeClock) -> Steering:
    return Steering(make_sites(), SteeringLimits(slew_limit=math.inf), clock)


def clamp(value: float = 1.0, feature: int = 1, site: str = "backbone.0", **more: object) -> Edit:
    return Edit(feature=feature, mode=Mode.CLAMP, value=value, site=site, **more)  # type: ignore[arg-type]


def test_an_accepted_edit_acts_in_the_next_inference(steering: Steering) -> None:
    steering.set([clamp(3.0)], "me")
    snapshot = steering.begin_inference(10.0)
    (edit,) = snapshot.edits["backbone.0"]
    assert (snapshot.revision, edit.feature, edit.value, edit.weight) == (1, 1, 3.0, 1.0)


def test_a_ramp_is_linear_in_observation_time_after_its_first_step(steering: Steering) -> None:
    steering.begin_inference(10.0)
    steering.set([clamp(ramp=1.0)], "me")
    weights = [
        steering.begin_inference(t).edits["backbone.0"][0].weight
        for t in (10.0, 10.25, 10.5, 11.0, 12.0)
    ]
    assert weights == pytest.approx([0.05, 0.30, 0.55, 1.0, 1.0])


def test_the_time_between_two_episodes_counts_for_no_ramp_and_no_duration(
    steering: Steering,
) -> None:
    """The stamps of the next episode are a minute later."""
    steering.begin_inference(10.0, 9.0)
    steering.set([clamp(ramp=1.0, duration=3.0)], "me")
    weights = [
        steering.begin_inference(t, 70.0).edits["backbone.0"][0].weight
        for t in (70.0, 70.25, 70.5, 71.0, 72.9)
    ]
    assert weights == pytest.approx([0.05, 0.30, 0.55, 1.0, 1.0])
    assert steering.view().edits[0].phase is Phase.HOLDING
    steering.begin_inference(73.0, 70.0)
    assert steering.view().edits[0].phase is Phase.RELEASING


@pytest.mark.parametrize("how", ["reset", "window"])
def test_what_was_on_its_way_back_at_the_end_of_an_episode_is_natural_in_the_next(
    steering: Steering, how: str
) -> None:
    window = (0.5, 10.0) if how == "window" else (0.0, 0.0)
    steering.set([clamp(ramp=1.0, window=window)], "me")
    for t in (9.0, 10.0, 11.0):
        before = steering.begin_inference(t, 9.0)
    assert before.edits["backbone.0"][0].weight == 1.0
    if how == "reset":
        steering.reset("me")
    assert not steering.begin_inference(70.0, 70.0).edits


def test_wall_time_alone_moves_no_ramp(steering: Steering, clock: FakeClock) -> None:
    steering.set([clamp(ramp=1.0, hold=True)], "me")
    before = steering.begin_inference(10.0).edits["backbone.0"][0].weight
    clock.now += 50.0
    assert steering.begin_inference(10.0).edits["backbone.0"][0].weight == before


def test_time_that_runs_backwards_moves_nothing(steering: Steering) -> None:
    steering.set([clamp(ramp=1.0)], "me")
    before = steering.begin_inference(10.0).edits["backbone.0"][0].weight
    assert steering.begin_inference(9.0).edits["backbone.0"][0].weight == before


def test_a_new_value_ramps_from_the_one_reached(steering: Steering) -> None:
    steering.set([clamp(1.0)], "me")
    steering.begin_inference(10.0)
    steering.set([clamp(3.0, ramp=1.0)], "me")
    steering.begin_inference(10.0)
    values = [steering.begin_inference(t).edits["backbone.0"][0] for t in (10.45, 10.95)]
    assert [v.value for v in values] == pytest.approx([2.0, 3.0])
    assert [v.weight for v in values] == [1.0, 1.0]


def test_another_mode_fades_in_while_the_old_one_fades_out(steering: Steering) -> None:
    steering.set([clamp(1.0, ramp=1.0)], "me")
    steering.begin_inference(0.0)
    steering.begin_inference(2.0)
    steering.set([Edit(feature=1, mode=Mode.ADD, value=1.0, site="backbone.0", ramp=1.0)], "me")
    steering.begin_inference(2.0)
    edits = {e.mode: e.weight for e in steering.begin_inference(2.45).edits["backbone.0"]}
    assert edits[Mode.ADD] == pytest.approx(0.5)
    assert edits[Mode.CLAMP] == pytest.approx(0.5)


def test_the_slew_limit_makes_a_fast_ramp_slower(clock: FakeClock) -> None:
    steering = Steering(make_sites(), SteeringLimits(slew_limit=2.0), clock)
    steering.set([clamp(4.0, unit=Unit.OBSERVED_MAX)], "me")  # 4 maxima at 2 maxima/s: 2 s
    steering.begin_inference(0.0)
    assert steering.begin_inference(0.95).edits["backbone.0"][0].weight == pytest.approx(0.5)
    assert steering.begin_inference(1.95).edits["backbone.0"][0].weight == pytest.approx(1.0)


@pytest.mark.parametrize("how", ["release", "reset", "lease", "another mode"])
def test_letting_go_acts_in_the_next_inference_even_of_the_same_observation(
    steering: Steering, clock: FakeClock, how: str
) -> None:
    steering.set([clamp(ramp=1.0)], "me")
    steering.begin_inference(10.0)
    steering.begin_inference(12.0)
    if how == "release":
        steering.set([], "me", release=[("backbone.0", 1)])
    elif how == "reset":
        steering.reset("me")
    elif how == "lease":
        clock.now += 60.0
        assert steering.expire_leases()
    else:
        steering.set([Edit(1, Mode.ADD, 1.0, "backbone.0", ramp=1.0)], "me")
    for _ in range(2):  # the second inference from the same observation moves nothing more
        first = steering.begin_inference(12.0).edits["backbone.0"][0]
        assert (first.mode, first.weight) == (Mode.CLAMP, pytest.approx(0.95))


def test_a_smaller_value_in_the_middle_of_a_ramp_does_not_let_the_old_one_jump_in(
    clock: FakeClock,
) -> None:
    steering = Steering(make_sites(), SteeringLimits(slew_limit=10.0), clock)
    steering.set([clamp(20.0)], "me")  # 20 maxima at 10 maxima/s
    steering.begin_inference(0.0)
    steering.set([clamp(0.1)], "me")
    effects = []
    for time in np.arange(0.1, 5.0, 0.1):
        (edit,) = steering.begin_inference(float(time)).edits["backbone.0"]
        effects.append(edit.weight * edit.value)
    assert np.abs(np.diff([0.5, *effects])).max() <= 1.0 + 1e-6
    assert (edit.value, edit.weight) == (pytest.approx(0.1), 1.0)


def test_a_released_edit_ramps_back_and_is_removed(steering: Steering) -> None:
    steering.set([clamp(ramp=1.0)], "me")
    steering.begin_inference(0.0)
    steering.begin_inference(5.0)
    steering.set([], "me", release=[("backbone.0", 1)])
    assert steering.begin_inference(5.5).edits["backbone.0"][0].weight == pytest.approx(0.5)
    assert steering.begin_inference(6.0).edits == {}
    assert steering.view().edits == ()
    assert [e.kind for e in steering.drain_events()] == [
        EventKind.SET,
        EventKind.RELEASED,
        EventKind.REMOVED,
    ]


@pytest.mark.parametrize("ramp", [math.nan, -1.0, math.inf])
def test_a_release_with_a_bad_ramp_is_refused_and_the_edit_stands(
    steering: Steering, ramp: float
) -> None:
    steering.set([clamp()], "me")
    before = steering.view()
    with pytest.raises(SteeringRefused, match="bad ramp"):
        steering.set([], "me", release=[("backbone.0", 1)], release_ramp=ramp)
    assert steering.view() == before


def test_a_release_is_no_faster_than_the_slew_limit(clock: FakeClock) -> None:
    steering = Steering(make_sites(), SteeringLimits(slew_limit=2.0), clock)
    steering.set([clamp(4.0, unit=Unit.OBSERVED_MAX)], "me")  # 4 maxima at 2 maxima/s: 2 s
    steering.begin_inference(0.0)
    steering.begin_inference(10.0)
    steering.set([], "me", release=[("backbone.0", 1)], release_ramp=0.1)
    assert steering.begin_inference(11.0).edits["backbone.0"][0].weight == pytest.approx(0.5)


def test_a_duration_releases_the_edit_in_observation_time(steering: Steering) -> None:
    steering.set([clamp(duration=3.0)], "me")
    assert "backbone.0" in steering.begin_inference(0.0).edits
    assert "backbone.0" in steering.begin_inference(2.9).edits
    steering.begin_inference(3.1)
    assert steering.begin_inference(3.2).edits == {}
    assert steering.revision == 2


def test_a_window_acts_only_inside_it(steering: Steering) -> None:
    steering.set([clamp(window=(1.0, 2.0))], "me")
    acting = [
        bool(steering.begin_inference(50.0 + t, 50.0).edits) for t in (0.0, 0.9, 1.0, 1.9, 2.0, 3.0)
    ]
    assert acting == [False, False, True, True, False, False]


def test_an_edit_ramps_from_its_windows_edge_not_from_before_it(steering: Steering) -> None:
    steering.set([clamp(window=(1.0, 2.0), ramp=0.5)], "me")
    steering.begin_inference(50.0, 50.0)
    weights = [
        steering.begin_inference(50.0 + t, 50.0).edits.get("backbone.0", ())
        for t in (0.9, 1.0, 1.25, 1.75, 2.0, 2.25, 2.75)
    ]
    assert [edits[0].weight if edits else 0.0 for edits in weights] == pytest.approx(
        [0.0, 0.1, 0.6, 1.0, 0.9, 0.4, 0.0]
    )


def test_edits_of_an_owner_without_heartbeat_are_released(
    steering: Steering, clock: FakeClock
) -> None:
    steering.set([clamp()], "panel", lease=2.0)
    steering.set([clamp(feature=2)], "script", lease=30.0)
    clock.now += 1.9
    assert not steering.expire_leases()
    clock.now += 0.2
    assert steering.expire_leases()
    steering.begin_inference(0.0)
    assert [e.owner for e in steering.view().edits] == ["script"]


def test_a_heartbeat_keeps_edits_and_a_held_one_needs_none(
    steering: Steering, clock: FakeClock
) -> None:
    steering.set([clamp()], "panel", lease=2.0)
    steering.set([clamp(feature=2, hold=True)], "gone", lease=2.0)
    for _ in range(5):
        clock.now += 1.5
        steering.heartbeat("panel", 2.0)
    assert not steering.expire_leases()
    assert len(steering.view().edits) == 2


def test_bypass_keeps_edits_but_lets_none_act(steering: Steering) -> None:
    steering.set([clamp()], "me")
    steering.set_bypass(True, "me")
    snapshot = steering.begin_inference(0.0)
    assert snapshot.edits == {}
    assert snapshot.bypass
    assert len(steering.view().edits) == 1
    steering.set_bypass(False, "me")
    assert steering.begin_inference(0.1).edits["backbone.0"][0].weight == 1.0


def test_reset_releases_everybodys_edits_and_lifts_the_bypass(steering: Steering) -> None:
    steering.set([clamp()], "a")
    steering.set([clamp(feature=2, hold=True)], "b")
    steering.set_bypass(True, "a")
    steering.begin_inference(0.0)
    steering.reset("c")
    snapshot = steering.begin_inference(0.1)
    assert snapshot.edits == {}
    assert not snapshot.bypass
    assert steering.view().edits == ()


def test_a_preset_replaces_the_owners_edits_and_leaves_others(steering: Steering) -> None:
    steering.set([clamp(), clamp(feature=2)], "me")
    steering.set([clamp(feature=0)], "other")
    steering.apply_preset([clamp(5.0, feature=2)], "p", "me")
    steering.begin_inference(0.0)
    assert {(e.owner, e.edit.feature, e.commanded) for e in steering.view().edits} == {
        ("me", 2, 5.0),
        ("other", 0, 1.0),
    }


def test_an_empty_site_means_the_only_steerable_one(clock: FakeClock) -> None:
    sites = [site for site in make_sites() if site.name != "expert.0"]
    steering = Steering(sites, clock=clock)
    steering.set([clamp(site="")], "me")
    assert steering.view().edits[0].edit.site == "backbone.0"


def test_units_are_turned_into_the_saes_own(steering: Steering) -> None:
    steering.set(
        [
            clamp(2.0, feature=0, unit=Unit.OBSERVED_MAX),
            clamp(0.5, feature=1, unit=Unit.RESIDUAL_NORM, site="expert.0"),
        ],
        "me",
    )
    assert [e.commanded for e in steering.view().edits] == [4.0, 10.0]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (clamp(math.nan), "not a finite number"),
        (clamp(math.inf), "not a finite number"),
        (clamp(feature=4), "0 to 3"),
        (clamp(feature=-1), "0 to 3"),
        (clamp(site="backbone.9"), "unknown site"),
        (clamp(site="backbone.3"), "nothing reads the last layer"),
        (clamp(site=""), "no site named"),
        (clamp(1000.0), "over the limit"),
        (clamp(1.0, feature=3, unit=Unit.OBSERVED_MAX), "never fired"),
        (clamp(ramp=math.nan), "bad ramp"),
        (clamp(ramp=-1.0), "bad ramp"),
        (clamp(duration=math.inf), "bad duration"),
        (clamp(window=(2.0, 1.0)), "bad window"),
        (clamp(token_groups=("action",)), "token groups"),
        (clamp(denoising_steps=(1,)), "denoising steps"),
        (clamp(site="expert.0", denoising_steps=(10,)), "0 to 9"),
    ],
)
def test_a_bad_edit_is_refused_with_its_reason_and_changes_nothing(
    steering: Steering, edit: Edit, says: str
) -> None:
    steering.set([clamp(feature=2)], "me")
    before = steering.view()
    steering.drain_events()
    with pytest.raises(SteeringRefused, match=says):
        steering.set([clamp(feature=0), edit], "me")
    assert steering.view() == before
    (event,) = steering.drain_events()
    assert event.kind is EventKind.REFUSED
    assert says in event.reason


def test_requests_that_contradict_themselves_are_refused(steering: Steering) -> None:
    steering.set([clamp()], "me")
    for call in (
        lambda: steering.set([], "me"),
        lambda: steering.set([clamp(), clamp(2.0)], "me"),
        lambda: steering.set([clamp()], "me", release=[("backbone.0", 1)]),
        lambda: steering.set([], "me", release=[("backbone.0", 2)]),
        lambda: steering.set([clamp()], ""),
        lambda: steering.set([clamp()], "me", lease=math.nan),
        lambda: steering.heartbeat("me", 1e9),
    ):
        with pytest.raises(SteeringRefused):
            call()
    assert steering.revision == 1


def test_too_many_edits_are_refused(clock: FakeClock) -> None:
    steering = Steering(make_sites(), SteeringLimits(max_edits=2), clock)
    steering.set([clamp(feature=0), clamp(feature=1)], "me")
    with pytest.raises(SteeringRefused, match="too many"):
        steering.set([clamp(feature=2)], "me")
    steering.set([clamp(feature=2)], "me", release=[("backbone.0", 0)])


def test_capping_is_told_once_when_it_begins(steering: Steering) -> None:
    for capped in (True, True, False, True):
        steering.report_capped("backbone.0", capped)
    assert [e.kind for e in steering.drain_events()] == [EventKind.CAPPED] * 2


def test_phases_tell_where_an_edit_is(steering: Steering) -> None:
    steering.set([clamp(ramp=1.0), clamp(feature=2, window=(5.0, 6.0))], "me")
    steering.begin_inference(0.0, 0.0)
    assert [e.phase for e in steering.view().edits] == [Phase.RAMPING_IN, Phase.WAITING]
    steering.begin_inference(2.0, 0.0)
    assert steering.view().edits[0].phase is Phase.HOLDING
    steering.reset("me")
    assert {e.phase for e in steering.view().edits} == {Phase.RELEASING}


def test_edits_replaced_while_nothing_infers_do_not_pile_up(steering: Steering) -> None:
    for turn in range(200):
        steering.set([Edit(0, Mode(turn % 2), 1.0, "backbone.0")], "me")
        steering.set([Edit(1, Mode.ADD, 1.0, "backbone.0")], "me")
        steering.set([], "me", release=[("backbone.0", 1)])
        steering.drain_events()
    assert len(steering.view().edits) <= 3


def test_an_edit_that_is_felt_still_fades_out_when_another_mode_replaces_it(clock) -> None:
    steering = Steering(make_sites(), SteeringLimits(slew_limit=10.0), clock)
    steering.set([Edit(0, Mode.CLAMP, 2.0, "backbone.0", ramp=1.0)], "me")
    for step in range(40):
        steering.begin_inference(0.05 * step)
    steering.set([Edit(0, Mode.ADD, 2.0, "backbone.0", ramp=1.0)], "me")
    old, new = steering.view().edits
    assert (old.phase, new.phase) == (Phase.RELEASING, Phase.RAMPING_IN)


def test_a_request_of_very_many_edits_is_refused_by_its_size(steering: Steering) -> None:
    with pytest.raises(SteeringRefused, match="too many edits in one request: got 5000"):
        steering.set([Edit(0, Mode.CLAMP, 1.0, "no such site")] * 5000, "me")


@pytest.mark.parametrize("change", [{"duration": 1e39}, {"value": 1e39}, {"window": (0.0, 1e39)}])
def test_numbers_that_the_wire_cannot_hold_are_refused(steering: Steering, change) -> None:
    fields = {"feature": 0, "mode": Mode.CLAMP, "value": 1.0, "site": "backbone.0"} | change
    with pytest.raises(SteeringRefused):
        steering.set([Edit(**fields)], "me")


@pytest.mark.parametrize("name", ["x" * 100_000, "lift\0higher"])
def test_a_name_that_cannot_be_told_whole_is_refused(steering: Steering, name: str) -> None:
    for ask in (
        lambda: steering.set([Edit(0, Mode.CLAMP, 1.0, "backbone.0")], name),
        lambda: steering.apply_preset([], name, "me"),
    ):
        with pytest.raises(SteeringRefused, match="name"):
            ask()
    assert not steering.view().edits


def test_a_reason_of_any_length_stands_bounded_in_the_audit_trail(steering: Steering) -> None:
    steering.record_refusal("me", "x" * 10**6)
    (event,) = steering.drain_events()
    assert len(event.reason) <= LONGEST_REASON


def test_owners_that_are_gone_are_forgotten_and_their_number_is_bounded(steering, clock) -> None:
    for owner in range(5000):
        steering.heartbeat(f"owner {owner}", 1.0)
    assert len(steering._leases._until) <= 1000
    clock.now += 2.0
    steering.heartbeat("somebody else", 1.0)
    assert list(steering._leases._until) == ["somebody else"]


def test_what_is_dropped_is_told_edit_by_edit_and_the_revision_goes_on(steering: Steering) -> None:
    edits = [Edit(feature, Mode.CLAMP, 1.0, "backbone.0") for feature in (0, 1)]
    before = steering.set(edits, "me")
    steering.drain_events()
    steering.drop("deactivated")
    assert [(e.kind, e.feature, e.reason) for e in steering.drain_events()] == [
        (EventKind.REMOVED, 0, "deactivated"),
        (EventKind.REMOVED, 1, "deactivated"),
    ]
    assert not steering.view().edits and steering.revision == before + 1
    assert Steering(make_sites(), revision=steering.revision).set(edits, "me") == before + 2


def test_limits_can_change_and_the_change_is_an_event(steering: Steering) -> None:
    steering.set_limits(SteeringLimits(slew_limit=math.inf, cap=0.5), "parameter")
    (event,) = steering.drain_events()
    assert (event.kind, event.owner, event.reason) == (
        EventKind.LIMITS,
        "parameter",
        "cap 1.5 to 0.5",
    )
    assert steering.view().cap == 0.5


def test_an_injection_is_on_at_first_and_off_and_on_again_with_a_revision_and_an_event_each() -> (
    None
):
    steering = Steering(make_sites(), injection="expert.0")
    assert steering.begin_inference(0.0).injection == "expert.0"
    assert steering.set_injection(False, "me") == 1
    assert steering.begin_inference(0.1).injection == steering.view().injection == ""
    assert steering.set_injection(False, "me") == 1
    assert steering.set_injection(True, "me") == 2
    assert steering.begin_inference(0.2).injection == steering.view().injection == "expert.0"
    told = [(e.kind, e.revision, e.owner, e.site, e.reason) for e in steering.drain_events()]
    assert told == [
        (EventKind.INJECTION, 1, "me", "expert.0", "off"),
        (EventKind.INJECTION, 2, "me", "expert.0", "on"),
    ]


def test_a_bypass_suspends_an_injection_and_a_reset_ends_it() -> None:
    steering = Steering(make_sites(), injection="expert.0")
    steering.set_bypass(True, "me")
    assert steering.begin_inference(0.0).injection == ""
    assert steering.view().injection == "expert.0"
    steering.set_bypass(False, "me")
    assert steering.begin_inference(0.1).injection == "expert.0"
    steering.reset("me")
    assert steering.begin_inference(0.2).injection == steering.view().injection == ""


def test_an_injection_without_a_donor_is_refused_and_logged(steering: Steering) -> None:
    for on in (True, False):
        with pytest.raises(SteeringRefused, match="without a stream to inject"):
            steering.set_injection(on, "me")
    assert [event.kind for event in steering.drain_events()] == 2 * [EventKind.REFUSED]
