"""Any sequence of requests, times and failures keeps the steering's invariants."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from vla_sae_ros.core.errors import SteeringRefused
from vla_sae_ros.core.steering import (
    Control,
    Edit,
    Mode,
    Phase,
    StandingEdit,
    Steering,
    SteeringLimits,
    SteeringSite,
    Unit,
)

numbers = st.floats(-50.0, 50.0) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1e300])
ramps = st.floats(0.0, 2.0) | st.sampled_from([math.nan, -1.0, 1e9])
edits = st.builds(
    Edit,
    feature=st.integers(-1, 3),
    mode=st.sampled_from(Mode),
    value=numbers,
    site=st.sampled_from(["a", "b", "", "nowhere"]),
    unit=st.sampled_from(Unit),
    token_groups=st.sampled_from([(), ("camera",), ("action",)]),
    denoising_steps=st.sampled_from([(), (0,), (7,)]),
    ramp=ramps,
    duration=st.sampled_from([0.0, 0.5, math.nan]),
    window=st.sampled_from([(0.0, 0.0), (1.0, 3.0), (3.0, 1.0), (math.nan, 0.0)]),
    hold=st.booleans(),
)
controls = st.builds(
    Control,
    reading=st.just("step"),
    at=st.floats(-5.0, 5.0),
    kp=st.floats(0.1, 50.0),
    ki=st.floats(0.0, 50.0),
    bounds=st.tuples(st.floats(-30.0, -0.1), st.floats(0.1, 30.0)),
    slew=st.sampled_from([0.0, 0.5, 100.0]),
)
# Half of the edits are of one feature, so that they meet; most of them can be accepted.
likely = st.builds(
    Edit,
    feature=st.just(1),
    mode=st.sampled_from([Mode.CLAMP, Mode.CLAMP, Mode.ADD, Mode.SCALE, Mode.PROJECT_OUT]),
    value=st.floats(-30.0, 30.0),
    site=st.just("a"),
    ramp=st.floats(0.0, 2.0),
    duration=st.sampled_from([0.0, 0.5]),
    window=st.sampled_from([(0.0, 0.0), (1.0, 3.0)]),
    hold=st.booleans(),
    control=st.none() | controls,
)
owners = st.sampled_from(["", "me", "you"])
LIMITS = SteeringLimits(slew_limit=10.0, max_multiple=20.0)
# Slowest way back: 20 maxima at 10 maxima/s, or the longest ramp asked for above; a scale of -20 is
# 21 away from its neutral 1.
LONGEST_RETURN = 2.1
FIRST_STEP = 0.05  # [s], see slot.py


class SteeringMachine(RuleBasedStateMachine):
    """Drives a `Steering` with arbitrary requests and looks at what every inference would apply."""

    @initialize()
    def start(self) -> None:
        self.wall = 0.0
        self.observation_time = 0.0
        sites = [
            SteeringSite(n, np.array([1.0, 2.0, 0.0], np.float32), 5.0, ("camera",)) for n in "ab"
        ]
        self.steering = Steering(sites, LIMITS, lambda: self.wall)
        self.last_revision = 0

    def attempt(self, request: Callable[[], object], grows: bool = True) -> None:
        """A refused request changes nothing; an accepted one raises the revision by one."""
        before = self.steering.view()
        try:
            request()
        except SteeringRefused:
            assert self.steering.view() == before
        else:
            assert self.steering.revision == before.revision + int(grows)

    @rule(edits=st.lists(likely | edits, max_size=3), owner=owners)
    def request(self, edits: list[Edit], owner: str) -> None:
        self.attempt(lambda: self.steering.set(edits, owner, lease=1.0))

    @rule(edit=likely)
    def one_more_of_the_same_feature(self, edit: Edit) -> None:
        self.attempt(lambda: self.steering.set([edit], "me", lease=1.0))

    @rule(ramp=ramps | st.none(), owner=owners, feature=st.integers(0, 2))
    def release(self, ramp: float | None, owner: str, feature: int) -> None:
        self.attempt(lambda: self.steering.set([], owner, [("a", feature)], release_ramp=ramp))

    @rule(edits=st.lists(likely | edits, max_size=2), owner=owners, lease=numbers)
    def preset(self, edits: list[Edit], owner: str, lease: float) -> None:
        self.attempt(lambda: self.steering.apply_preset(edits, "p", owner, lease))

    @rule(owner=owners, seconds=numbers)
    def heartbeat(self, owner: str, seconds: float) -> None:
        self.attempt(lambda: self.steering.heartbeat(owner, seconds), grows=False)

    @rule(on=st.booleans())
    def bypass(self, on: bool) -> None:
        before = self.steering.view()
        changes = before.bypass is not on
        self.attempt(lambda: self.steering.set_bypass(on, "me"), grows=changes)
        assert self.steering.view().edits == before.edits

    @rule()
    def reset(self) -> None:
        self.attempt(lambda: self.steering.reset("me"))

    @rule(seconds=st.floats(0.0, 1.0))
    def wall_passes(self, seconds: float) -> None:
        self.wall += seconds
        before = self.steering.revision
        expired = self.steering.expire_leases()
        assert self.steering.revision == before + int(expired)
        for each in self.steering.view().edits:
            dead = each.lease_remaining == 0.0 and not each.edit.hold
            assert not dead or each.phase is Phase.RELEASING

    @rule(seconds=st.floats(-0.1, 1.0), reading=st.none() | st.floats(-5.0, 5.0))
    def infer(self, seconds: float, reading: float | None) -> None:
        before = self.effects()
        self.observation_time += seconds
        readings = {} if reading is None else {("step", "", 0): reading}
        snapshot = self.steering.begin_inference(self.observation_time, 0.0, readings)
        assert not (snapshot.bypass and snapshot.edits)
        for applied in (edit for site in snapshot.edits.values() for edit in site):
            assert math.isfinite(applied.value)
            assert 0.0 < applied.weight <= 1.0
        after = self.effects()
        most = LIMITS.slew_limit * max(seconds, FIRST_STEP) * (1 + 1e-5) + 1e-5
        for slot, effect in before.items():  # one that is gone has no effect any more
            assert abs(after.get(slot, 0.0) - effect) <= most
        for each in self.steering.view().edits:
            if each.edit.control is not None and each.phase is not Phase.RELEASING:
                low, high = each.edit.control.bounds
                strength = each.commanded / _unit(each)
                assert low - 1e-6 <= strength <= high + 1e-6

    def effects(self) -> dict[int, float]:
        """Return weight * v [observed maxima] of each edit, by its identity within `infer`."""
        view = self.steering.view()
        slots = map(id, self.steering._slots)
        return {slot: _effect(each) for slot, each in zip(slots, view.edits, strict=True)}

    @rule()
    def reset_returns_to_natural_in_bounded_time(self) -> None:
        self.steering.reset("me")
        self.steering.begin_inference(self.observation_time)
        self.observation_time += LONGEST_RETURN + 0.1
        self.steering.begin_inference(self.observation_time)
        assert self.steering.view().edits == ()

    @invariant()
    def revision_never_falls_and_keys_are_unique(self) -> None:
        if not hasattr(self, "steering"):
            return
        view = self.steering.view()
        assert view.revision >= self.last_revision
        self.last_revision = view.revision
        standing = [e.edit.key for e in view.edits if e.phase is not Phase.RELEASING]
        assert len(standing) == len(set(standing))


def _unit(each: StandingEdit) -> float:
    """Return v in the SAE's units per unit of the edit."""
    if each.edit.mode is Mode.SCALE:
        return 1.0
    observed = (1.0, 2.0, 0.0)[each.edit.feature]
    return {Unit.NATURAL: 1.0, Unit.OBSERVED_MAX: observed, Unit.RESIDUAL_NORM: 5.0}[each.edit.unit]


def _effect(each: StandingEdit) -> float:
    if each.edit.mode is Mode.PROJECT_OUT:
        return each.weight
    if each.edit.mode is Mode.SCALE:
        return each.weight * (each.applied - 1.0)
    # The site's observed maxima, and its residual_norm_activation for the dead feature.
    return each.weight * each.applied / (1.0, 2.0, 5.0)[each.edit.feature]


SteeringMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSteering = SteeringMachine.TestCase
