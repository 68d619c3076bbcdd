"""A person takes over from the policy and hands back, over real DDS."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TwistStamped
from patience import eventually
from robot_bench import OWNER, RobotBench, chunk_for

from vla_sae_ros.clients.client import Client
from vla_sae_ros.msg import ExecutedAction, RobotCommand, RobotState, SteeringLease
from vla_sae_ros.robot.admission import EnableRefused
from vla_sae_ros.robot.settings_file import load_robot
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.person_topics import PersonPublisher

WAVE = np.zeros(8, np.float32)
WAVE[0] = 0.3
PANDA = load_robot("panda")


def waving(request: Any) -> list[Any]:
    return [chunk_for(request, np.tile(WAVE, (15, 1)))]


class Hand:
    """Publishes a twist twenty times a second, as a joystick's node does."""

    def __init__(self, bench: RobotBench) -> None:
        self.linear, self.angular = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
        self._publisher = PersonPublisher(bench.node)
        self._timer = bench.node.create_timer(0.05, self._beat)
        self._node = bench.node
        self.moving = True

    def _beat(self) -> None:
        if self.moving:
            self._publisher.twist(self.linear, self.angular)

    def gripper(self, closing: float) -> None:
        self._publisher.gripper(closing)

    def close(self) -> None:
        self._node.destroy_timer(self._timer)
        self._publisher.close()


@pytest.fixture
def bench() -> Iterator[Callable[..., RobotBench]]:
    made: list[RobotBench] = []

    def make(**parameters: Any) -> RobotBench:
        # A busy machine sends late: these tests are not about that.
        made.append(RobotBench(**{"teleop_timeout": 2.0} | parameters))
        made[-1].answer = waving
        return made[-1]

    yield make
    for each in made:
        each.close()


def by(messages: list[ExecutedAction], source: int) -> list[ExecutedAction]:
    return [each for each in messages if each.source == source]


def tool(command: RobotCommand) -> np.ndarray:
    return PANDA.place.kinematics.tool(np.array(command.sent))


def test_the_owner_takes_over_moves_the_tool_and_hands_back_without_a_jump(bench):
    robot = bench()
    robot.enable()
    robot.send(max_steps=10_000)
    robot.until(lambda: len(by(robot.executed, ExecutedAction.POLICY)) > 5)
    robot.take_over(True)
    told = robot.takeovers[-1]
    assert (told.owner, told.takeovers, told.timeout) == (OWNER, 1, 2.0)
    hand = Hand(robot)
    hand.linear = (0.0, 0.0, 0.06)
    robot.until(lambda: len(by(robot.executed, ExecutedAction.PERSON)) > 30)
    handed = robot.executed[-1].step
    robot.take_over(False)
    hand.close()
    robot.until(lambda: len(by([e for e in robot.executed if e.step > handed], 0)) > 15)

    sources = [each.source for each in sorted(robot.executed, key=lambda each: each.step)]
    changes = [before for before, after in pairwise(sources) if before != after]
    assert ExecutedAction.PERSON in changes
    first, last = sources.index(1), len(sources) - sources[::-1].index(1)
    assert set(sources[first:last]) == {ExecutedAction.PERSON}, "both in turns"
    # What is sent never jumps, at the changes least of all.
    sent = np.array([each.sent for each in robot.commands if len(each.sent)])
    velocity = np.diff(sent, axis=0) / PANDA.period
    assert (np.abs(velocity) <= PANDA.limits.velocity + 1e-9).all()
    assert (
        np.abs(np.diff(velocity, axis=0)) / PANDA.period <= PANDA.limits.acceleration + 1e-6
    ).all()
    up = [
        tool(each)[2]
        for each in robot.commands
        if each.source == RobotCommand.PERSON and len(each.sent)
    ]
    assert up[-1] > up[0] + 0.05
    # The policy was asked all the while, and what it answers to before the hand-back is not used.
    steps = [each.step for each in robot.requests]
    assert len([step for step in steps if first <= step < last]) >= 2
    back = next(
        e for e in sorted(robot.executed, key=lambda e: e.step) if e.step >= last and not e.source
    )
    assert back.step - back.chunk_index >= last


def test_what_a_person_commands_is_recorded_in_the_policy_s_units(bench):
    robot = bench()
    robot.enable()
    robot.send(max_steps=10_000)
    robot.take_over(True)
    hand = Hand(robot)
    hand.linear = (0.05, 0.0, 0.0)
    hand.gripper(1.0)
    robot.until(lambda: len([e for e in by(robot.executed, 1) if e.action[7] == 1.0]) > 10)
    hand.close()
    moved = [e for e in by(robot.executed, 1) if not e.held]
    assert moved
    for each in moved:
        assert (each.chunk_id, each.steering_revision) == (0, 0)
        assert np.abs(np.array(each.action[:7])).max() <= 1.0
    commands = [c for c in robot.commands if c.source == RobotCommand.PERSON and len(c.requested)]
    lead = (np.array(commands[-1].requested) - commands[-1].measured) / 0.2
    assert np.abs(np.array(moved[-1].action[:7]) - lead).max() < 0.2
    assert any(c.gripper == 1.0 for c in commands)


def test_a_person_who_falls_silent_leaves_an_arm_that_holds_still_and_stays_in_charge(bench):
    robot = bench(teleop_timeout=0.5)
    robot.enable()
    robot.send(max_steps=10_000)
    robot.take_over(True)
    robot.until(lambda: robot.takeovers[-1].silent)
    hand = Hand(robot)
    hand.linear = (0.0, 0.0, 0.05)
    robot.until(lambda: not robot.takeovers[-1].silent)
    hand.moving = False
    robot.until(lambda: robot.takeovers[-1].silent and robot.executed[-1].held)
    begin = robot.executed[-1].step
    robot.until(lambda: robot.executed[-1].step > begin + 30)
    after = [each for each in robot.executed if each.step > begin]
    assert all(each.held and each.source == ExecutedAction.PERSON for each in after)
    assert "holding still" in robot.episodes[-1].detail
    assert robot.robot[-1].status == RobotState.ENABLED
    rest = [c.sent for c in robot.commands[-10:]]
    assert all(each == rest[0] for each in rest)
    hand.close()


def wrong(bench: RobotBench, change: Callable[[TwistStamped], None]) -> TwistStamped:
    message = TwistStamped()
    message.header.frame_id = "base"
    message.header.stamp = bench.node.get_clock().now().to_msg()
    message.twist.linear.z = 0.1
    change(message)
    return message


WRONG = {
    "frame": (lambda m: setattr(m.header, "frame_id", "camera"), "frame"),
    "NaN": (lambda m: setattr(m.twist.linear, "x", float("nan")), "finite"),
    "speed": (lambda m: setattr(m.twist.linear, "x", 3.0), "Linear speed"),
    "turning": (lambda m: setattr(m.twist.angular, "x", 3.0), "Angular speed"),
    "age": (lambda m: setattr(m.header.stamp, "sec", m.header.stamp.sec - 60), "age"),
    "stamp": (lambda m: setattr(m.header, "stamp", Time()), "stamp"),
}


def test_a_wrong_twist_is_refused_counted_and_shown_and_moves_nothing(bench):
    robot = bench()
    robot.enable()
    robot.take_over(True)
    publisher = robot.node.create_publisher(TwistStamped, "teleop/twist", qos.COMMAND)
    eventually(lambda: publisher.get_subscription_count() > 0)
    for change, words in WRONG.values():
        before = robot.takeovers[-1].refused
        publisher.publish(wrong(robot, change))
        robot.until(lambda before=before: robot.takeovers[-1].refused > before)
        assert words in robot.takeovers[-1].refusal
    assert robot.takeovers[-1].accepted == 0 and robot.takeovers[-1].silent
    begin = robot.commands[-1].tick
    robot.until(lambda: robot.commands[-1].tick > begin + 3)
    assert not any(len(each.requested) for each in robot.commands)


def test_two_tools_at_once_are_both_refused(bench):
    robot = bench()
    robot.enable()
    robot.take_over(True)
    first, second = Hand(robot), Hand(robot)
    first.linear, second.linear = (0.1, 0.0, 0.0), (-0.1, 0.0, 0.0)
    robot.until(lambda: "Nodes that publish" in robot.takeovers[-1].refusal)
    second.close()
    accepted = robot.takeovers[-1].accepted
    robot.until(lambda: robot.takeovers[-1].accepted > accepted)
    first.close()


def test_nobody_but_the_owner_of_an_enabled_arm_takes_over(bench):
    robot = bench()
    refused = robot.call("takeover", data=True)
    assert not refused.success and "enabled arm" in refused.message
    robot.enable()
    others = robot.node.create_publisher(SteeringLease, "bridge/heartbeat", qos.HEARTBEAT)
    timer = robot.node.create_timer(
        0.2, lambda: others.publish(SteeringLease(owner="other", duration=3.0))
    )
    answers: list[Any] = []

    def asked() -> bool:
        answers.append(robot.call("takeover", data=True))
        return not answers[-1].success

    eventually(asked)
    assert f"enabled by '{OWNER}'" in answers[-1].message
    robot.node.destroy_timer(timer)


def test_a_stop_ends_a_takeover_and_an_enable_after_it_is_the_policy_s(bench):
    robot = bench()
    robot.enable()
    robot.take_over(True)
    robot.call("stop")
    robot.until(lambda: robot.robot[-1].status == RobotState.STOPPED)
    robot.until(lambda: not robot.takeovers[-1].taken_over)
    refused = robot.call("takeover", data=True)
    assert not refused.success and "stopped" in refused.message
    assert robot.call("recover").success
    robot.enable()
    robot.send(max_steps=10_000)
    robot.until(lambda: by(robot.executed, ExecutedAction.POLICY))
    assert not robot.takeovers[-1].taken_over


def test_the_enable_of_a_person_whose_client_is_gone_ends_in_a_stop(bench):
    robot = bench(lease=1.0)
    robot.enable()
    robot.take_over(True)
    robot.beating = False
    robot.until(lambda: robot.robot[-1].status == RobotState.STOPPED)
    assert robot.robot[-1].reason == "lease_expired"


def test_a_dead_policy_does_not_stop_a_person_and_is_missed_after_the_hand_back(bench):
    robot = bench(policy_timeout=1.0, watchdog=0.5)
    robot.answer = lambda request: []
    robot.enable()
    robot.take_over(True)
    robot.send(max_steps=10_000)
    robot.until(lambda: robot.executed and robot.executed[-1].step > 40)
    assert robot.robot[-1].status == RobotState.ENABLED
    robot.take_over(False)
    robot.until(lambda: robot.robot[-1].status == RobotState.STOPPED)
    robot.until(lambda: "policy has not answered" in robot.episodes[-1].detail)


def test_a_script_takes_over_moves_and_hands_back(bench):
    robot = bench(beating=False, domain=int(os.environ.get("ROS_DOMAIN_ID", "0")))
    with Client("hand") as client, pytest.raises(EnableRefused, match="takeover"):
        client.teleop_twist((0.1, 0, 0))
    with Client("hand") as client:
        with pytest.raises(EnableRefused, match="enabled arm"):
            client.takeover(True)
        client.enable_robot()
        client.takeover(True)
        stop = threading.Event()

        def move() -> None:
            while not stop.wait(0.05):
                client.teleop_twist((0.0, 0.0, 0.06))

        mover = threading.Thread(target=move)
        mover.start()
        try:
            robot.until(lambda: [c for c in robot.commands if len(c.requested) and c.source == 1])
            heights = [tool(c)[2] for c in robot.commands if len(c.sent)]
            robot.until(lambda: tool(robot.commands[-1])[2] > heights[0] + 0.03)
        finally:
            stop.set()
            mover.join()
        client.takeover(False)
        robot.until(lambda: not robot.takeovers[-1].taken_over)
        assert robot.robot[-1].owner == "hand"
        client.disable_robot()
