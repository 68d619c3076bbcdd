"""Where an enabled arm is measured, and what comes of it: never only of what was sent."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from arm_rig import ZERO, FakeClock, Rig, action, rig_for, without_place

from vla_sae_ros.robot.command import ArmCommand
from vla_sae_ros.robot.driver import Joints, RobotReading
from vla_sae_ros.robot.droid import DroidActions
from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope
from vla_sae_ros.robot.envelope.measured_guard import BREACH, SAG
from vla_sae_ros.robot.kinematics import PARTS
from vla_sae_ros.robot.reasons import Refused, Status, Stop
from vla_sae_ros.robot.settings import RobotSettings
from vla_sae_ros.robot.settings_file import load_robot
from vla_sae_ros.robot.workspace import Workspace

FAR = np.full(3, 5.0)


def with_workspace(settings: RobotSettings, workspace: Workspace) -> RobotSettings:
    assert settings.place is not None
    return replace(settings, place=replace(settings.place, workspace=workspace))


def driven(settings: RobotSettings) -> Rig:
    """Return an enabled arm that has been commanded."""
    rig = rig_for(settings)
    rig.envelope.enable("panel", settings.lease)
    assert rig.tick(action(1, 0.1)).status is Status.ENABLED
    return rig


def height(settings: RobotSettings, part: str, q: Joints) -> float:
    assert settings.place is not None
    return float(settings.place.kinematics.points(q)[PARTS.index(part), 2])


def standing_low(settings: RobotSettings, part: str) -> RobotSettings:
    """Return settings whose pose has this part of the arm as its lowest one, but for the tool."""
    assert settings.place is not None
    rng = np.random.default_rng(3)
    low, high = settings.limits.lower + settings.margin, settings.limits.upper - settings.margin
    while True:
        q = rng.uniform(low, high)
        heights = settings.place.kinematics.points(q)[:3, 2]
        others = np.delete(heights, PARTS.index(part)) if part != "tool" else heights + 1.0
        own = height(settings, part, q)
        falls = height(settings, part, q + 0.1 * np.eye(7)[1]) < own - 0.03
        if falls and own < others.min() - 0.05 and (np.abs(q[1] + 0.1) < 1.6):
            return replace(settings, reset_pose=q)


def edge_below(settings: RobotSettings, part: str, room: float) -> RobotSettings:
    """Return settings whose edge is `room` m below this part of the arm."""
    edge = height(settings, part, settings.reset_pose) - room
    box = Workspace(
        np.array([-5.0, -5.0, edge if part == "tool" else -5.0]),
        FAR,
        table_height=-5.0 if part == "tool" else edge,
        tool_clearance=-5.0,
        arm_clearance=0.0,
    )
    return with_workspace(settings, box)


def lowered(settings: RobotSettings, part: str, depth: float) -> Joints:
    """Return the joints at which a part is `depth` m lower than where it stood."""
    start, low, high = height(settings, part, settings.reset_pose), 0.0, 0.5
    for _ in range(60):
        tilt = (low + high) / 2
        q = settings.reset_pose + tilt * np.eye(7)[1]
        low, high = (tilt, high) if start - height(settings, part, q) < depth else (low, tilt)
    return settings.reset_pose + high * np.eye(7)[1]


@pytest.mark.parametrize("part", ["tool", "elbow", "wrist", "flange"])
def test_an_arm_measured_outside_is_stopped_though_what_was_sent_is_inside(
    settings: RobotSettings, part: str
) -> None:
    settings = edge_below(standing_low(settings, part), part, room=0.02)
    rig = driven(settings)
    rig.driver.follows = False
    rig.driver.q = lowered(settings, part, 0.02 + BREACH / 2)
    assert rig.tick(ZERO).status is Status.ENABLED, "the play of a measurement"
    rig.driver.q = lowered(settings, part, 0.02 + 2 * BREACH)
    outcome = rig.tick(ZERO)
    assert (outcome.status, outcome.stop) == (Status.STOPPED, Stop.WORKSPACE)
    assert "mm outside" in outcome.detail
    assert outcome.sent is None and rig.driver.calls[-1] == "stop"
    rig.driver.q = settings.reset_pose
    again = rig.tick(action(1, 0.1))
    assert (again.sent, again.refused) == (None, Refused.STOPPED), "it latches"


def test_a_breach_is_seen_between_two_ticks(settings: RobotSettings) -> None:
    settings = edge_below(settings, "tool", room=0.02)
    rig = driven(settings)
    rig.driver.q = lowered(settings, "tool", 0.03)
    outcome = rig.cycle.look(rig.clock.now + 0.005)
    assert outcome is not None and outcome.stop is Stop.WORKSPACE
    assert rig.driver.calls[-1] == "stop"


@pytest.mark.parametrize("end", ["lower", "upper"])
@pytest.mark.parametrize("joint", range(7))
def test_a_joint_measured_more_than_half_into_its_margin_is_stopped(
    settings: RobotSettings, joint: int, end: str
) -> None:
    settings = without_place(settings)
    rig = driven(settings)
    sign = 1.0 if end == "lower" else -1.0
    edge = getattr(settings.limits, end)[joint]
    rig.driver.follows = False
    rig.driver.q = settings.reset_pose.copy()
    # from where it stands to there in steps that no tracking error is told of
    rig.envelope._shaping._motion = replace(
        rig.envelope._shaping._motion, q=_at(settings, joint, edge + sign * settings.margin)
    )
    rig.driver.q = _at(settings, joint, edge + sign * 0.6 * settings.margin)
    assert rig.cycle.look(rig.clock.now) is None
    rig.driver.q = _at(settings, joint, edge + sign * 0.4 * settings.margin)
    outcome = rig.cycle.look(rig.clock.now)
    assert outcome is not None and outcome.stop is Stop.JOINT_RANGE
    assert f"joint {joint + 1}" in outcome.detail


def _at(settings: RobotSettings, joint: int, value: float) -> Joints:
    q = settings.reset_pose.copy()
    q[joint] = value
    return q


def test_after_a_stop_at_the_edge_the_arm_is_driven_back_in_without_hands(
    settings: RobotSettings,
) -> None:
    settings = edge_below(settings, "tool", room=0.02)
    rig = driven(settings)
    rig.driver.q = lowered(settings, "tool", 0.035)
    assert rig.tick(ZERO).stop is Stop.WORKSPACE
    rig.clock.now += 2.0
    rig.cycle.look(rig.clock.now)
    rig.cycle.recover()
    rig.envelope.enable("panel", settings.lease)
    heights = []
    for _ in range(60):
        outcome = rig.tick(action(2, -0.5))
        assert outcome.status is Status.ENABLED
        heights.append(rig.envelope._shaping.outside(rig.driver.q))
    assert heights[-1] < 0 and np.all(np.diff(heights) <= 1e-9), "inwards at every tick"


def test_an_arm_that_follows_late_is_not_stopped_on_its_way_back_in(
    settings: RobotSettings,
) -> None:
    settings = edge_below(settings, "tool", room=0.02)
    rig = rig_for(settings, lowered(settings, "tool", 0.035))
    rig.envelope.enable("panel", settings.lease)
    rig.driver.follows = False
    for _ in range(60):
        assert rig.tick(action(2, -0.5)).status is Status.ENABLED
        if len(rig.driver.sent) > 3:
            rig.driver.q = rig.driver.sent[-4]  # a fifth of a second late
    assert rig.envelope._shaping.outside(rig.driver.q) < 0
    rig.driver.q = lowered(settings, "tool", 0.03)
    rig.clock.now += 0.005
    outcome = rig.cycle.look(rig.clock.now)
    assert outcome is not None and outcome.stop is Stop.WORKSPACE, "not out again, once it was in"


@pytest.mark.parametrize("name", ["panda", "fr3"])
def test_states_that_repeat_themselves_stop_a_commanded_arm_within_a_fifth_of_a_second(
    name: str,
) -> None:
    settings = load_robot(name)
    rig = driven(settings)
    rig.driver.follows = False
    since = None
    for _ in range(15):
        outcome = rig.tick(action(1, 1.0))
        lead = 0.0 if outcome.sent is None else np.abs(outcome.sent - rig.driver.q).max()
        since = rig.clock.now if since is None and lead > 0.01 else since
        if outcome.status is Status.STOPPED:
            break
    assert outcome.stop is Stop.STALE_READING and "repeat" in outcome.detail
    assert since is not None and rig.clock.now - since <= 0.2 + 1e-9


def test_an_arm_that_stands_may_repeat_itself(rig: Rig) -> None:
    rig.tick(action(1, 0.1))
    for _ in range(60):
        assert rig.hold().status is Status.ENABLED


def test_an_arm_that_is_held_by_something_is_stopped_by_what_it_does_not_reach(rig: Rig) -> None:
    """Its joints tremble, so the states are news; but it gets nowhere."""
    rig.driver.follows = False
    rng = np.random.default_rng(2)
    start = rig.driver.q.copy()
    for _ in range(15 * 5):
        rig.driver.q = start + rng.normal(0.0, 1e-4, 7)
        outcome = rig.tick(action(1, 1.0))
        if outcome.status is Status.STOPPED:
            break
    assert outcome.stop is Stop.TRACKING_ERROR and "no progress" in outcome.detail


def test_a_load_that_nobody_named_is_told_when_the_arm_rests_below_its_target(rig: Rig) -> None:
    rig.tick(action(1, 0.1))
    rig.driver.follows = False
    below = 1.2 * SAG * np.eye(7)[1]
    for tick in range(40):
        rig.driver.q = rig.driver.sent[-1] + below + 1e-6 * tick
        assert rig.hold().status is Status.ENABLED
    assert "joint 2 rests" in rig.envelope.state().sag
    assert "payload" in rig.envelope.state().sag
    rig.driver.follows = True
    for _ in range(3):
        rig.tick(action(1, 0.5))
    assert rig.envelope.state().sag == "", "and forgotten when it moves again"


def test_an_arm_that_sinks_while_no_motion_is_asked_for_is_told(rig: Rig) -> None:
    """A target of DROID's follows the measured arm down: it never rests below it."""
    rig.tick(action(1, 0.1))
    for tick in range(30):
        rig.driver.q = rig.driver.q + np.array([0, 0.002, 0, 0, 0, 0, 0])
        assert rig.tick(ZERO).status is Status.ENABLED
        if tick == 5:
            assert rig.envelope.state().sag == ""
    assert "no motion was commanded" in rig.envelope.state().sag
    rig.tick(action(1, 0.5))
    assert rig.envelope.state().sag == ""


def test_a_machine_that_was_suspended_finds_its_arm_stopped(settings: RobotSettings) -> None:
    clock, asleep = FakeClock(), [7.0]
    envelope = SafetyEnvelope(settings, DroidActions(), clock, slept=lambda: asleep[0])
    q = settings.reset_pose

    def reading() -> RobotReading:
        return RobotReading(clock.now, q.copy(), np.zeros(7), 1.0, True)

    def tick(number: int) -> Status:
        clock.now += settings.period
        return envelope.tick(number, reading(), ArmCommand(clock.now, None)).status

    tick(0)
    asleep[0] += 3600.0  # of an arm that is not enabled: nobody's business
    envelope.enable("panel", 1.0)
    assert [tick(number) for number in range(1, 4)] == [Status.ENABLED] * 3
    asleep[0] += 0.1  # two clocks are never read at the same moment
    assert tick(4) is Status.ENABLED
    asleep[0] += 40.0  # the monotonic clock stands meanwhile: only this one tells it
    assert tick(5) is Status.STOPPED
    state = envelope.state()
    assert state.reason is Stop.LATE_TICK and "suspended for 40.0 s" in state.detail
    assert tick(6) is Status.STOPPED, "it latches"


def test_by_default_the_clock_that_runs_through_a_suspend_is_compared(
    settings: RobotSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, ahead = time.clock_gettime, [0.0]
    monkeypatch.setattr(
        time,
        "clock_gettime",
        lambda which: real(which) + (ahead[0] if which == time.CLOCK_BOOTTIME else 0.0),
    )
    rig = driven(settings)
    ahead[0] = 12.0
    outcome = rig.tick(ZERO)
    assert outcome.stop is Stop.LATE_TICK and "suspended for 12.0 s" in outcome.detail
