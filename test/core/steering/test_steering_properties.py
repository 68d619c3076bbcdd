"""Any sequence of requests, times and failures keeps the steering's invariants."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from vla_sae_ros.core.errors import SteeringRefused
from vla_sae_ros.core.steering import Edit, Mode, Steering, SteeringLimits, SteeringSite, Unit

numbers = st.floats(-50.0, 50.0) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0])
edits = st.builds(
    Edit,
    feature=st.integers(-1, 5),
    mode=st.sampled_from(Mode),
    value=numbers,
    site=st.sampled_from(["a", "b", "", "nowhere"]),
    unit=st.sampled_from(Unit),
    ramp=st.floats(0.0, 2.0) | st.just(math.nan),
    duration=st.sampled_from([0.0, 0.5, math.nan]),
    window=st.sampled_from([(0.0, 0.0), (1.0, 3.0), (3.0, 1.0)]),
    hold=st.booleans(),
)
LIMITS = SteeringLimits(slew_limit=10.0, max_multiple=20.0)
# Slowest way back: 20 maxima at 10 maxima/s, or the longest ramp asked for above.
LONGEST_RETURN = 2.0


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

    @rule(edits=st.lists(edits, max_size=3), owner=st.sampled_from(["", "me", "you"]))
    def request(self, edits: list[Edit], owner: str) -> None:
        before = self.steering.view()
        try:
            revision = self.steering.set(edits, owner, lease=1.0)
        except SteeringRefused:
            assert self.steering.view() == before
        else:
            assert revision == before.revision + 1

    @rule()
    def bypass(self) -> None:
        self.steering.set_bypass(not self.steering.view().bypass, "me")

    @rule(seconds=st.floats(0.0, 1.0))
    def wall_passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steering.expire_leases()

    @rule(seconds=st.floats(-0.1, 1.0))
    def infer(self, seconds: float) -> None:
        self.observation_time = self.observation_time + seconds
        snapshot = self.steering.begin_inference(self.observation_time, 0.0)
        assert not (snapshot.bypass and snapshot.edits)
        for applied in (edit for site in snapshot.edits.values() for edit in site):
            assert math.isfinite(applied.value)
            assert 0.0 < applied.weight <= 1.0

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
        standing = [e.edit.key for e in view.edits if e.phase.name != "RELEASING"]
        assert len(standing) == len(set(standing))


SteeringMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSteering = SteeringMachine.TestCase
