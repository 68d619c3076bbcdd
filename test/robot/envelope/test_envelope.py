"""Every item of the safety envelope: the bad command never reaches the driver."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from arm_rig import ZERO, Rig, action, gone, rig_for

from vla_sae_ros.robot.admission import EnableRefused
from vla_sae_ros.robot.driver import RobotFault
from vla_sae_ros.robot.machine.events import Event, Kind
from vla_sae_ros.robot.reasons import Limit, Refused, Status, Stop
from vla_sae_ros.robot.settings import RobotSettings

SMALL = action(1, 0.1)


def assert_stopped(rig: Rig, reason: Stop) -> None:
    """Latched, the driver was told to stop after its last send, and nothing is sent any more."""
    state = rig.envelope.state()
    assert (state.status, state.reason) == (Status.STOPPED, reason)
    assert state.stops == 1 and state.detail
    if "send" in rig.driver.calls:
        after = rig.driver.calls[len(rig.driver.calls) - rig.driver.calls[::-1].index("send") :]
        assert "stop" in after
    before = len(rig.driver.sent)
    assert rig.tick(SMALL).sent is None
    assert len(rig.driver.sent) == before


def test_a_command_of_an_enabled_arm_is_sent(rig: Rig) -> None:
    outcome = rig.tick(action(1, 0.05, gripper=1.0), steering_revision=7)
    assert outcome.requested is not None and outcome.sent is not None
    np.testing.assert_allclose(outcome.requested - outcome.measured, 0.2 * action(1, 0.05)[:7])
    np.testing.assert_array_equal(rig.driver.sent, [outcome.sent])
    assert rig.driver.grips == [1.0]
    assert rig.envelope.state().steering_revision == 7


def test_nothing_moves_before_it_is_enabled(settings: RobotSettings) -> None:
    rig = rig_for(settings)
    assert rig.tick(SMALL).refused is Refused.DISABLED
    assert rig.envelope.state().status is Status.DISABLED
    assert not rig.driver.sent and not rig.driver.grips


def test_nothing_moves_without_a_robot(settings: RobotSettings) -> None:
    rig = rig_for(settings)
    rig.driver.raises["read"] = gone()
    rig.tick(SMALL)
    assert rig.envelope.state().status is Status.OFFLINE
    with pytest.raises(EnableRefused, match="offline"):
        rig.envelope.enable("panel", 1.0)
    assert not rig.driver.sent


def test_disabling_brakes_and_refuses_from_then_on(rig: Rig) -> None:
    rig.tick(SMALL)
    rig.envelope.disable()
    assert rig.tick(SMALL).refused is Refused.DISABLED
    assert len(rig.driver.sent) == 1
    assert rig.driver.calls[-1] == "stop"


def test_an_enable_that_is_not_renewed_ends_in_a_stop(settings: RobotSettings) -> None:
    rig = rig_for(settings)
    rig.envelope.enable("panel", 0.2)
    rig.clock.now += 0.19
    assert rig.cycle.look() is None
    rig.clock.now += 0.02
    assert rig.cycle.look() is not None
    assert_stopped(rig, Stop.LEASE_EXPIRED)


def test_only_the_owner_renews_and_nobody_takes_an_enable_away(rig: Rig) -> None:
    for request in (rig.envelope.enable, rig.envelope.renew):
        with pytest.raises(EnableRefused, match=r"panel|not enabled by"):
            request("script", 0.5)
    assert rig.envelope.state().owner == "panel"


@pytest.mark.parametrize("lease", [0.0, -1.0, 100.0, float("nan"), float("inf")])
def test_a_lease_out_of_range_is_refused(settings: RobotSettings, lease: float) -> None:
    rig = rig_for(settings)
    with pytest.raises(EnableRefused, match="lease"):
        rig.envelope.enable("panel", lease)
    assert rig.envelope.state().status is Status.DISABLED


def test_an_owner_without_a_name_is_refused(settings: RobotSettings) -> None:
    with pytest.raises(EnableRefused, match="owner"):
        rig_for(settings).envelope.enable(" ", 0.5)


def test_silence_brakes_at_once_and_stops_after_the_watchdog(rig: Rig) -> None:
    for _ in range(5):
        rig.tick(action(1, 0.2))
    speeds = []
    while (outcome := rig.tick()).stop is None:
        assert outcome.sent is not None and outcome.requested is None
        speeds.append(abs(outcome.sent[0] - outcome.measured[0]))
    assert len(speeds) == 2, "150 ms at 15 Hz"
    assert speeds == sorted(speeds, reverse=True)
    assert_stopped(rig, Stop.STALE_COMMAND)


def test_an_enabled_arm_may_wait_for_its_first_command(rig: Rig) -> None:
    for _ in range(30):
        assert rig.tick().stop is None
    assert not rig.driver.sent
    assert rig.tick(SMALL).sent is not None


def test_holding_is_a_command_that_feeds_the_watchdog(rig: Rig) -> None:
    rig.tick(SMALL)
    for _ in range(30):
        outcome = rig.hold()
        assert outcome.stop is None and outcome.requested is None
    assert rig.envelope.state().held == 30
    np.testing.assert_array_equal(rig.driver.sent[-1], rig.driver.sent[-2])


@pytest.mark.parametrize("age", [0.2, -0.01])
def test_a_command_from_another_time_is_refused(rig: Rig, age: float) -> None:
    rig.tick(SMALL)
    outcome = rig.tick(action(1, 1.0), stamp=rig.clock.now + rig.settings.period - age)
    assert outcome.refused is Refused.STALE and outcome.requested is None


@pytest.mark.parametrize(
    ("bad", "refused"),
    [
        (np.zeros(7), Refused.SHAPE),
        (np.zeros((1, 8)), Refused.SHAPE),
        (np.array(["a"] * 8), Refused.SHAPE),
        (action(3, np.nan), Refused.NOT_FINITE),
        (action(3, -np.inf), Refused.NOT_FINITE),
        (action(gripper=np.nan), Refused.NOT_FINITE),
        (action(3, 40.0), Refused.RANGE),
    ],
)
def test_an_action_that_cannot_be_meant_is_refused_and_does_not_feed_the_watchdog(
    rig: Rig, bad: object, refused: Refused
) -> None:
    rig.tick(SMALL)
    first = rig.tick(bad)
    assert first.refused is refused and first.detail and first.requested is None
    assert np.isfinite(rig.driver.sent).all()
    grips = list(rig.driver.grips)
    while rig.tick(bad).stop is None:
        pass
    assert rig.driver.grips == grips
    assert_stopped(rig, Stop.STALE_COMMAND)


def test_a_giant_action_moves_no_joint_further_than_the_step(settings: RobotSettings) -> None:
    tight = replace(settings, max_joint_step=0.01)
    rig = rig_for(tight)
    rig.envelope.enable("panel", 1.0)
    for _ in range(10):
        outcome = rig.tick(action(1, 3.0))
        assert Limit.JOINT_STEP in outcome.limits
        assert np.abs(outcome.sent - outcome.measured).max() <= 0.01 + 1e-9


def test_the_arm_stops_when_it_does_not_follow(rig: Rig) -> None:
    rig.driver.follows = False
    rig.settings = replace(rig.settings)
    limit = rig.settings.max_tracking_error
    rig.driver.q = rig.driver.q.copy()
    rig.tick(action(1, 1.0))
    rig.driver.q[0] -= limit + 0.1
    outcome = rig.tick(action(1, 1.0))
    assert outcome.stop is Stop.TRACKING_ERROR
    assert_stopped(rig, Stop.TRACKING_ERROR)


@pytest.mark.parametrize(
    "fault", [Stop.COLLISION_REFLEX, Stop.REFLEX, Stop.COMM_LOSS, Stop.USER_STOP]
)
@pytest.mark.parametrize("enabled", [True, False])
def test_a_fault_of_the_robot_stops_between_ticks(
    settings: RobotSettings, fault: Stop, enabled: bool
) -> None:
    rig = rig_for(settings)
    if enabled:
        rig.envelope.enable("panel", 1.0)
        rig.tick(SMALL)
    rig.driver.fault, rig.driver.detail = fault, "cartesian_reflex"
    outcome = rig.cycle.look()
    assert outcome is not None and outcome.stop is fault and outcome.detail == "cartesian_reflex"
    assert_stopped(rig, fault)


def test_a_robot_that_lets_go_of_control_stops(rig: Rig) -> None:
    rig.tick(SMALL)
    rig.tick(SMALL)
    rig.driver.in_control = False
    assert rig.cycle.look() is not None
    assert_stopped(rig, Stop.CONTROL_LOST)


def test_a_cable_pulled_stops(rig: Rig) -> None:
    rig.tick(SMALL)
    rig.driver.raises["read"] = gone()
    assert rig.cycle.look() is not None
    assert_stopped(rig, Stop.DISCONNECTED)


def test_a_reflex_at_the_moment_of_sending_stops(rig: Rig) -> None:
    rig.driver.raises["send"] = RobotFault("reflex", ("joint_reflex",))
    outcome = rig.tick(SMALL)
    assert outcome.stop is Stop.COLLISION_REFLEX and outcome.sent is None
    assert_stopped(rig, Stop.COLLISION_REFLEX)


def test_a_broken_driver_stops_the_arm_and_not_the_thread(rig: Rig) -> None:
    rig.tick(SMALL)
    rig.driver.raises["read"] = ZeroDivisionError("bug")
    rig.cycle.look()
    del rig.driver.raises["read"]
    assert_stopped(rig, Stop.DRIVER_ERROR)


def test_a_broken_source_stops_the_arm_and_not_the_thread(rig: Rig) -> None:
    rig.tick(SMALL)
    rig.cycle._source = None
    rig.tick()
    rig.cycle._source = rig.mailbox
    assert_stopped(rig, Stop.SOURCE_ERROR)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda driver: setattr(driver, "age", 0.06), Stop.STALE_READING),
        (lambda driver: driver.q.__setitem__(2, np.nan), Stop.BAD_READING),
        (lambda driver: driver.dq.__setitem__(2, np.inf), Stop.BAD_READING),
        (lambda driver: setattr(driver, "q", np.zeros(6)), Stop.BAD_READING),
        (lambda driver: driver.q.__setitem__(1, 1.77), Stop.JOINT_RANGE),
    ],
)
def test_a_joint_state_that_cannot_be_trusted_stops(rig: Rig, spoil, reason: Stop) -> None:
    rig.tick(SMALL)
    good = rig.driver.q.copy()
    spoil(rig.driver)
    assert rig.tick(SMALL).stop is reason
    rig.driver.q, rig.driver.dq, rig.driver.age = good, np.zeros(7), 0.0
    assert_stopped(rig, reason)


def test_a_control_thread_that_was_held_up_stops(rig: Rig) -> None:
    rig.tick(SMALL)
    rig.clock.now += 0.2
    assert rig.tick(SMALL).stop in (Stop.LATE_TICK, Stop.STALE_COMMAND)
    assert len(rig.driver.sent) == 1


def test_a_held_up_thread_is_named_where_nothing_was_commanded_yet(rig: Rig) -> None:
    rig.tick()
    rig.envelope.renew("panel", 1.0)
    rig.clock.now += 0.2
    rig.tick(SMALL)
    assert_stopped(rig, Stop.LATE_TICK)


def test_an_operator_stop_latches_until_recover_and_then_enable(rig: Rig) -> None:
    rig.tick(SMALL)
    rig.envelope.stop(Stop.OPERATOR_STOP, "stopped by panel")
    rig.cycle.let_go()
    assert_stopped(rig, Stop.OPERATOR_STOP)
    with pytest.raises(EnableRefused, match=r"operator_stop.*Recover first"):
        rig.envelope.enable("panel", 1.0)
    rig.cycle.recover()
    assert rig.envelope.state().status is Status.DISABLED
    assert rig.tick(SMALL).refused is Refused.DISABLED
    rig.envelope.enable("panel", 1.0)
    assert rig.tick(SMALL).sent is not None


def test_the_first_stop_stays_the_reason(rig: Rig) -> None:
    rig.envelope.stop(Stop.OPERATOR_STOP, "first")
    rig.driver.fault = Stop.USER_STOP
    rig.cycle.look()
    assert rig.envelope.state().reason is Stop.OPERATOR_STOP
    assert rig.envelope.state().stops == 1


def test_recovering_keeps_the_latch_while_the_fault_lasts(rig: Rig) -> None:
    rig.driver.fault = Stop.USER_STOP
    rig.cycle.look()
    rig.driver.raises["recover"] = RobotFault("still pressed", ("user_stop",))
    with pytest.raises(RobotFault, match="still pressed"):
        rig.cycle.recover()
    assert rig.envelope.state().status is Status.STOPPED


def test_after_a_stop_the_arm_starts_from_where_it_stands(rig: Rig) -> None:
    for _ in range(8):
        rig.tick(action(1, 0.5))
    rig.envelope.stop(Stop.OPERATOR_STOP, "x")
    rig.cycle.let_go()
    rig.driver.q = rig.settings.reset_pose.copy()
    rig.cycle.recover()
    rig.envelope.enable("panel", 1.0)
    outcome = rig.tick(ZERO)
    np.testing.assert_allclose(outcome.sent, rig.settings.reset_pose, atol=1e-9)


def test_an_arm_outside_its_workspace_or_in_a_margin_is_not_enabled(
    settings: RobotSettings,
) -> None:
    folded = settings.reset_pose.copy()
    folded[3] = -3.06
    with pytest.raises(EnableRefused, match="Joint 4"):
        rig_for(settings, folded).envelope.enable("panel", 1.0)
    low = settings.reset_pose.copy()
    low[1], low[3] = 0.9, -2.2
    with pytest.raises(EnableRefused, match="outside its workspace"):
        rig_for(settings, low).envelope.enable("panel", 1.0)


def test_an_arm_measured_a_hair_outside_its_workspace_is_enabled_and_moves(
    settings: RobotSettings,
) -> None:
    place = settings.place
    low = place.kinematics.tool(settings.reset_pose) + 0.0005
    edge = replace(place, workspace=replace(place.workspace, lower=low))
    rig = rig_for(replace(settings, place=edge), settings.reset_pose)
    rig.envelope.enable("panel", 1.0)
    rig.cycle.look()
    outcomes = [rig.tick(ZERO) for _ in range(3)]
    assert all(each.stop is None and each.sent is not None for each in outcomes)


def test_counts_add_up(rig: Rig) -> None:
    rig.tick(SMALL)
    rig.tick(action(1, 1.0))
    rig.tick(action(1, np.nan))
    rig.hold()
    state = rig.envelope.state()
    assert (state.sent, state.refused, state.held) == (4, 1, 2)
    assert state.limited >= 1


@pytest.mark.parametrize("joint", range(1, 8))
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_driven_into_a_corner_the_arm_stays_inside_every_limit(
    rig: Rig, joint: int, sign: float
) -> None:
    """Against the maker's numbers and the workspace, not against the guards' own words."""
    settings, period = rig.settings, rig.settings.period
    for tick in range(60):
        outcome = rig.tick(action(joint, sign) + 0.3 * action(1 + (joint + tick) % 7, sign))
        assert outcome.stop is None
    q = np.array([settings.reset_pose, *rig.driver.sent])
    v = np.diff(q, axis=0) / period
    a = np.diff(np.vstack([np.zeros(7), v]), axis=0) / period
    assert (np.abs(v) <= settings.limits.velocity + 1e-9).all()
    assert (np.abs(a) <= settings.limits.acceleration + 1e-6).all()
    assert (q >= settings.limits.lower + settings.margin - 1e-9).all()
    assert (q <= settings.limits.upper - settings.margin + 1e-9).all()
    points = settings.place.kinematics.points(q)
    assert settings.place.workspace.outside(points).max() <= 1e-5
    tool = np.linalg.norm(np.diff(points[:, -1], axis=0), axis=1)
    assert tool.max() <= settings.place.max_ee_step + 1e-5


def test_a_joint_beyond_its_range_gets_back_when_asked_for_by_name_and_not_otherwise(
    settings: RobotSettings,
) -> None:
    high = settings.published.upper[6]
    beyond = settings.reset_pose.copy()
    beyond[6] = high + 0.02
    rig = rig_for(settings, beyond)
    with pytest.raises(EnableRefused, match="way_back"):
        rig.envelope.enable("panel", 1.0)
    ask = Event(Kind.ENABLE, rig.envelope.ticket(), "panel", 1.0, way_back=True)
    assert not rig.cycle.request(ask).refusal
    places = [beyond[6]]
    while rig.envelope.state().status is Status.ENABLED:
        outcome = rig.tick(action(7, 1.0))
        assert outcome.stop is None, "the policy's own wish is not followed"
        places.append(rig.driver.q[6])
        assert len(places) < 200
    assert rig.driver.calls[-1] == "stop"
    assert (np.diff(places) <= 0).all() and places[-1] <= high - settings.margin
    assert np.abs(np.diff(places)).max() <= settings.limits.velocity[6] * settings.period
    refused = rig.cycle.request(replace(ask, asked=rig.envelope.ticket())).refusal
    assert "no way back" in refused


def test_a_joint_far_beyond_its_range_needs_hands(settings: RobotSettings) -> None:
    beyond = settings.reset_pose.copy()
    beyond[6] = settings.published.upper[6] + 0.3
    rig = rig_for(settings, beyond)
    ask = Event(Kind.ENABLE, rig.envelope.ticket(), "panel", 1.0, way_back=True)
    assert "by hand" in rig.cycle.request(ask).refusal
