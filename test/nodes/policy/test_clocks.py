"""The policy node under use_sim_time: what runs in observation time, and what in wall time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from fake_bridge import PERIOD, START, FakeBridge, heard
from node_rigs import Rig, make_rig
from patience import PATIENCE, eventually
from rosgraph_msgs.msg import Clock

from vla_sae_ros.core.steering import Edit, Mode
from vla_sae_ros.core.steering.slot import FIRST_STEP
from vla_sae_ros.msg import ActionChunk, FeatureActivations, SteeringEvent, SteeringState
from vla_sae_ros.wire.conversions import to_ns, to_time

NEAR = 1.01 * FIRST_STEP / 20.0
"""The first inference after a change is at least one FIRST_STEP of its ramp."""

Served = tuple[Rig, FakeBridge, Callable[[int], None]]


def change(node, transition: Callable[[], object]) -> None:
    """Change the node's lifecycle where its callbacks run, as a request over the wire does.

    From another thread, what the executor is waiting for would be destroyed under it.
    """
    task = node.executor.create_task(transition)
    done = threading.Event()
    task.add_done_callback(lambda _: done.set())
    assert done.wait(PATIENCE)
    task.result()


@pytest.fixture
def served(request, ros_context, tmp_path) -> Iterator[Served]:
    """A policy that follows /clock, a bridge, and what sets the clock to an observation's time."""
    given = {"use_sim_time": True, "slew_limit": 1e6}
    rig = make_rig("policy", ros_context, request, tmp_path, **given)
    with heard(rig.node, ros_context) as bridge:
        clock = bridge.node.create_publisher(Clock, "/clock", 10)
        eventually(clock.get_subscription_count, "nobody follows the clock")

        def at(step: int) -> None:
            clock.publish(Clock(clock=to_time(START + step * PERIOD)))
            now = rig.node.get_clock().now
            eventually(lambda: now().nanoseconds == START + step * PERIOD, "it is not followed")

        yield rig, bridge, at


def weight(bridge: FakeBridge, step: int) -> float:
    """Return how far the one edit had come at the observation of a step."""

    state = bridge.wait_for(SteeringState, lambda each: near(each, step) and each.edits)
    return float(state.edits[0].weight)


def near(state: SteeringState, step: int) -> bool:
    """Whether a state is of a step's observation; it counts in float64 seconds."""
    return abs(to_ns(state.header.stamp) - START - step * PERIOD) < 1000


def slowly(bridge: FakeBridge) -> None:
    """Set an edit that takes 20 s to come."""
    assert bridge.steer(Edit(2, Mode.ADD, 6.0, "expert.1", ramp=20.0)).accepted
    bridge.wait_for(ActionChunk, lambda m: m.replan and m.steering_revision == 1)


@pytest.mark.parametrize("steps", [1, 10, 100])  # 50 ms, 0.5 s and 5 s between two requests
def test_ramps_run_in_the_observations_time_at_any_pace_of_the_clock(served, steps):
    _, bridge, at = served
    at(0)
    bridge.chunk(0)
    slowly(bridge)
    for step in (steps, 2 * steps):
        at(step)
        assert bridge.chunk(step).header.stamp == to_time(START + step * PERIOD)
        assert weight(bridge, step) == pytest.approx(0.05 * step / 20.0, abs=NEAR)


def test_a_clock_that_stands_moves_no_ramp_and_stops_no_inference(served):
    _, bridge, at = served
    at(3)
    bridge.chunk(3)
    slowly(bridge)
    for _ in range(3):
        bridge.got[ActionChunk].clear()

        def answered() -> list[ActionChunk]:
            bridge.request(3)  # while it infers from this very observation, no second time
            return [each for each in bridge.got[ActionChunk] if not each.replan]

        assert eventually(answered)[0].steering_revision == 1
    told = [each.edits[0].weight for each in bridge.got[SteeringState] if each.edits]
    assert max(told) == pytest.approx(0.0, abs=NEAR)


def test_a_clock_that_jumps_back_moves_no_ramp_back_and_observations_are_answered(served):
    _, bridge, at = served
    at(1000)
    bridge.chunk(1000)
    slowly(bridge)
    for step, seconds in ((1100, 5.0), (10, 5.0), (110, 10.0)):  # 5 s on, 54.5 s back, 5 s on
        at(step)
        assert bridge.chunk(step).steering_revision == 1
        if step != 10:  # there nothing changes, and a state is published where something does
            assert weight(bridge, step) == pytest.approx(seconds / 20.0, abs=NEAR)


def test_a_lease_runs_in_wall_time_where_no_clock_is_heard(served):
    _, bridge, _ = served
    bridge.chunk(0)
    assert bridge.steer(Edit(2, Mode.ADD, 6.0, "expert.1"), lease=0.1).accepted
    bridge.wait_for(SteeringEvent, lambda m: m.kind == SteeringEvent.LEASE_EXPIRED)


def test_no_revision_means_two_states_before_and_after_a_deactivation(served):
    rig, bridge, _ = served
    bridge.chunk(0)
    assert bridge.steer(Edit(2, Mode.ADD, 6.0, "expert.1")).revision == 1
    first = bridge.wait_for(ActionChunk, lambda m: m.steering_revision == 1)
    change(rig.node, rig.node.trigger_deactivate)
    dropped = bridge.wait_for(SteeringEvent, lambda m: m.kind == SteeringEvent.REMOVED)
    assert "does not serve" in dropped.reason
    change(rig.node, rig.node.trigger_activate)
    bridge.connect()
    again = bridge.chunk(1)
    assert again.steering_revision > dropped.revision > first.steering_revision
    assert again.policy_start > first.policy_start
    assert dropped.policy_start == first.policy_start
    bridge.wait_for(FeatureActivations, lambda m: m.policy_start == again.policy_start)
    edited: dict[int, set[bool]] = {}
    for state in bridge.got[SteeringState]:
        edited.setdefault(state.revision, set()).add(bool(state.edits))
    for kind in (SteeringState, FeatureActivations):
        starts = {message.policy_start for message in bridge.got[kind]}
        assert starts == {first.policy_start, again.policy_start}, kind
    assert all(len(each) == 1 for each in edited.values()), edited


def test_an_inactive_policy_says_so_on_diagnostics(served):
    rig, bridge, _ = served
    change(rig.node, rig.node.trigger_deactivate)
    message = bridge.wait_for(
        DiagnosticArray, lambda m: any("inactive" in each.message for each in m.status)
    )
    (status,) = message.status
    assert status.name == "policy: inference"
    assert {each.key: each.value for each in status.values} == {"lifecycle": "inactive"}
