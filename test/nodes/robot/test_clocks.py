"""The robot's bridge under use_sim_time: stamps are the clock's, promises run in wall time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from patience import answer_of, eventually
from rclpy.parameter import Parameter
from robot_bench import RobotBench, chunk_for
from rosgraph_msgs.msg import Clock

from vla_sae_ros.wire.conversions import to_ns, to_time

SECOND = 1_000_000_000


@pytest.fixture
def robot(request) -> Iterator[RobotBench]:
    made = RobotBench(**getattr(request, "param", {}))
    yield made
    made.close()


@pytest.mark.parametrize("robot", [{"use_sim_time": True}], indirect=True)
def test_stamps_are_the_clocks_and_episodes_run_while_it_stands_or_jumps_back(robot):
    robot.answer = lambda request: [chunk_for(request, np.zeros((15, 8), np.float32))]
    robot.enable()
    refused = answer_of(robot.send(max_steps=5).get_result_async())
    assert refused.status == GoalStatus.STATUS_ABORTED
    assert "no /clock" in refused.result.message
    clock = robot.node.create_publisher(Clock, "/clock", 10)
    eventually(clock.get_subscription_count, "nobody follows the clock")
    now = robot.bridge.get_clock().now
    for seconds in (1000, 500):
        clock.publish(Clock(clock=to_time(seconds * SECOND)))
        eventually(lambda at=seconds: now().nanoseconds == at * SECOND, "it is not followed")
        robot.executed.clear()
        answer = answer_of(robot.send(max_steps=5).get_result_async())
        assert (answer.status, answer.result.steps) == (GoalStatus.STATUS_SUCCEEDED, 5)
        robot.until(lambda: [each.step for each in robot.executed] == list(range(5)))
        assert {to_ns(each.header.stamp) for each in robot.executed} == {seconds * SECOND}


def test_a_lost_policys_time_limit_changes_within_its_bounds_and_no_further(robot):
    (taken,) = robot.bridge.set_parameters([Parameter("policy_timeout", value=7.5)])
    (refused,) = robot.bridge.set_parameters([Parameter("policy_timeout", value=0.0)])
    assert taken.successful and not refused.successful
    assert robot.bridge._source.policy_timeout == 7.5
