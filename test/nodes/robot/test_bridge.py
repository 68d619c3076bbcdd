"""The robot bridge over real DDS, with a simulated arm and a fake policy."""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from patience import PATIENCE, answer_of, eventually
from rclpy.node import Node
from robot_bench import OWNER, RobotBench, chunk_for
from std_srvs.srv import SetBool, Trigger
from written_stderr import written_stderr

from vla_sae_ros.clients import run as run_client
from vla_sae_ros.clients.client import Client
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.msg import EpisodeState, RobotCommand, RobotState, SteeringLease
from vla_sae_ros.nodes.recorder.topics import CONTRACT_TOPICS
from vla_sae_ros.robot.admission import EnableRefused
from vla_sae_ros.robot.droid import RESET_POSE
from vla_sae_ros.robot.loop.loop import _ANSWER, _PATIENCE
from vla_sae_ros.srv import SetSteering
from vla_sae_ros.systems.robots import SYSTEMS
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_ns

WAVE = np.zeros(8, np.float32)
WAVE[0] = 0.5


def waving(length: int = 15, revision: int = 0) -> Callable[[Any], list[Any]]:
    def answer(request: Any) -> list[Any]:
        return [chunk_for(request, np.tile(WAVE, (length, 1)), steering_revision=revision)]

    return answer


@pytest.fixture
def bench() -> Iterator[Callable[..., RobotBench]]:
    made: list[RobotBench] = []

    def make(**parameters: Any) -> RobotBench:
        made.append(RobotBench(**parameters))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_an_episode_moves_the_arm_as_droid_would_and_every_tick_is_told(bench):
    robot = bench()
    robot.answer = waving(revision=4)
    robot.enable()
    answer = answer_of(robot.send(max_steps=20).get_result_async())
    assert (answer.status, answer.result.steps) == (GoalStatus.STATUS_SUCCEEDED, 20)
    assert not answer.result.success, "a robot has no success condition of its own"
    robot.until(lambda: robot.episodes[-1].status == EpisodeState.FAILED)
    told = robot.episodes[-1]
    assert (told.suite, told.task, told.init_state, told.instruction) == ("", -1, -1, "wave")
    robot.until(lambda: [each.step for each in robot.executed] == list(range(20)))
    moved = [each for each in robot.executed if not each.held]
    assert moved and all(each.steering_revision == 4 for each in moved)
    assert all(np.allclose(each.action, WAVE) for each in moved)
    ticks = [each for each in robot.commands if each.episode_id and len(each.requested)]
    assert len(ticks) == len(moved)
    for each in ticks:  # droid/robot_ik/robot_ik_solver.py: 0.2 rad per tick at 1
        assert np.allclose(np.array(each.requested) - each.measured, 0.2 * WAVE[:7])
    q = np.array(robot.joints[-1].position)
    assert q[0] > RESET_POSE[0] + 0.1
    assert np.allclose(q[1:], RESET_POSE[1:], atol=1e-6)
    assert list(robot.joints[-1].name) == [f"panda_joint{i}" for i in range(1, 8)]


def test_a_request_carries_the_stamp_of_joints_that_were_published(bench):
    robot = bench()
    robot.answer = waving()
    robot.enable()
    answer_of(robot.send(max_steps=10).get_result_async())
    stamps = {to_ns(each.header.stamp) for each in robot.joints}
    assert robot.requests
    assert all(to_ns(each.header.stamp) in stamps for each in robot.requests)
    assert robot.requests[0].step == 0


@pytest.mark.parametrize("length", [4, 10, 15])
def test_the_next_chunk_is_asked_for_by_horizon_and_lead_whatever_the_chunks_length(bench, length):
    robot = bench(execute_steps=8, request_lead=3)
    robot.answer = waving(length)
    robot.enable()
    answer_of(robot.send(max_steps=30).get_result_async())
    steps = [each.step for each in robot.requests]
    assert len(steps) > 2
    assert (np.diff(steps) >= min(8, length - 3)).all(), steps


def test_nothing_runs_before_somebody_who_is_heard_of_has_enabled(bench):
    robot = bench(lease=0.3)
    handle = robot.send()
    answer = answer_of(handle.get_result_async())
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert "disabled" in answer.result.message and "Enable" in answer.result.message
    robot.beating = False
    robot.until(lambda: robot.commands[-1].tick > robot.commands[0].tick + 20)  # beats run out
    refused = robot.call("enable", data=True)
    assert not refused.success and "heartbeat" in refused.message
    assert robot.robot[-1].status == RobotState.DISABLED


def test_the_bridge_says_when_its_arm_is_there_as_the_supervisor_expects(bench, tmp_path):
    (spec,) = [each for each in SYSTEMS["droid-sim"].describe({}).nodes if each.name == "bridge"]
    with written_stderr(tmp_path / "stderr") as stderr:
        robot = bench()
        robot.enable()
        # The state may be told before the line is written.
        eventually(lambda: "the arm is enabled" in stderr.read_text())
    said = stderr.read_text()
    assert said.index(f"[bridge]: {spec.ready}") < said.index("the arm is enabled")


def test_of_two_scripts_with_one_name_none_is_enabled_for_the_end_of_one_would_not_be_missed(bench):
    robot = bench()
    twins = [Node(OWNER, context=robot.contexts[1], enable_rosout=False) for _ in range(2)]
    beats = [twin.create_publisher(SteeringLease, "bridge/heartbeat", 1) for twin in twins]
    eventually(lambda: robot.bridge.count_publishers("bridge/heartbeat") == 3)
    refused = robot.call("enable", data=True)
    assert not refused.success and f"Two nodes called '{OWNER}'" in refused.message
    assert robot.robot[-1].status == RobotState.DISABLED
    twins[0].destroy_publisher(beats[0])
    eventually(lambda: robot.bridge.count_publishers("bridge/heartbeat") == 2)
    robot.enable()
    for twin in twins:
        twin.destroy_node()


def test_an_enable_ends_with_its_owners_heartbeat(bench):
    robot = bench(lease=1.0)
    robot.enable()
    assert robot.robot[-1].owner == OWNER
    robot.beating = False
    robot.until(lambda: robot.robot[-1].status == RobotState.STOPPED)
    assert robot.robot[-1].reason == "lease_expired"


def test_a_stop_ends_the_episode_throws_chunks_away_and_takes_steering_to_neutral(bench):
    robot = bench()
    robot.answer = waving(60)
    robot.enable()
    handle = robot.send()
    robot.until(lambda: len(robot.executed) > 6)
    assert robot.call("stop").success
    answer = answer_of(handle.get_result_async())
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert "operator_stop" in answer.result.message
    robot.until(lambda: robot.robot[-1].status == RobotState.STOPPED and robot.resets == 1)
    refused = robot.call("enable", data=True)
    assert not refused.success and "ecover" in refused.message
    assert robot.call("recover").success
    robot.enable()
    before = len(robot.executed)
    seen = robot.commands[-1].tick
    robot.until(lambda: robot.commands[-1].tick > seen + 10)
    assert len(robot.executed) == before, "the old chunk is not played on"
    assert all(not len(each.requested) for each in robot.commands[-8:])


def test_a_policy_that_is_gone_stops_the_arm_with_its_reason(bench):
    robot = bench(policy_timeout=0.5, watchdog=0.5)
    robot.answer = waving(6)
    robot.enable()
    handle = robot.send()
    robot.until(lambda: len(robot.executed) > 3)
    robot.answer = lambda request: []
    answer = answer_of(handle.get_result_async())
    assert "stale_command" in answer.result.message
    assert "policy has not answered for 0.5 s" in answer.result.message
    assert "--time-scale 0.5" in answer.result.message, "what to do about it"
    robot.until(lambda: "--time-scale 0.5" in robot.robot[-1].detail)
    held = [each for each in robot.executed if each.held]
    assert held, "it held still before it gave up"
    assert not np.array(held[-1].action).any()


def test_a_slow_policy_is_waited_for(bench):
    """It answers each request only when the next one has been made."""
    robot = bench(resend_after=0.2, max_steps=40)
    late: list[Any] = []

    def answer(request: Any) -> list[Any]:
        late.append(request)
        return [] if len(late) < 2 else waving(15)(late[-2])

    robot.answer = answer
    robot.enable()
    answer_ = answer_of(robot.send().get_result_async())
    assert answer_.status == GoalStatus.STATUS_SUCCEEDED, answer_.result.message
    assert any(not each.held for each in robot.executed)


BAD_CHUNKS = {
    "nan": {"actions": np.full((15, 8), np.nan)},
    "giant": {"actions": np.zeros((5000, 8))},
    "narrow": {"actions": np.zeros((15, 7))},
    "other rate": {"control_rate": 20.0},
    "other episode": {"episode_id": "elsewhere"},
}


@pytest.mark.parametrize("changes", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_a_chunk_that_cannot_be_meant_never_reaches_the_arm(bench, changes):
    robot = bench()
    fields = dict(changes)
    actions = fields.pop("actions", np.tile(WAVE, (15, 1)))
    robot.answer = lambda request: [chunk_for(request, actions, **fields)]
    robot.enable()
    handle = robot.send(max_steps=10_000)
    robot.until(lambda: robot.episodes[-1].dropped_chunks > 0)
    answer_of(handle.cancel_goal_async())
    result = answer_of(handle.get_result_async()).result
    assert result.dropped_chunks > 0
    assert result.held_ticks == result.steps
    assert all(not len(each.requested) for each in robot.commands)


def test_an_action_far_outside_is_refused_by_the_envelope_and_not_clamped(bench):
    robot = bench()
    wild = np.zeros((15, 8), np.float32)
    wild[:, 2] = 50.0
    robot.answer = lambda request: [chunk_for(request, wild)]
    robot.enable()
    robot.send(max_steps=10_000)
    robot.until(lambda: any(each.refused == "range" for each in robot.commands))
    assert all(not len(each.requested) for each in robot.commands)
    q = np.array(robot.joints[-1].position)
    assert np.allclose(q, RESET_POSE, atol=1e-6)


def test_a_new_revision_replaces_the_chunk_at_the_same_tick_rule(bench):
    robot = bench()
    robot.answer = waving(30, revision=1)
    robot.enable()
    robot.send(max_steps=10_000)
    robot.until(lambda: len(robot.executed) > 5)

    def back(request: Any) -> list[Any]:
        rows = np.tile(-WAVE, (30, 1))
        number = 500 + request.step
        return [chunk_for(request, rows, chunk_id=number, steering_revision=2, replan=True)]

    robot.answer = back
    robot.publish(*back(robot.requests[-1]))  # in the middle of its chunk
    newer = lambda: [each for each in robot.executed if each.chunk_id >= 500]  # noqa: E731
    robot.until(lambda: len(newer()) > 3)
    for each in newer():
        assert each.steering_revision == 2
        assert each.chunk_index == each.step - (each.chunk_id - 500)


def test_a_cancel_ends_the_episode_and_the_arm_stays_enabled(bench):
    robot = bench()
    robot.answer = waving()
    robot.enable()
    handle = robot.send()
    robot.until(lambda: len(robot.executed) > 2)
    answer_of(handle.cancel_goal_async())
    assert answer_of(handle.get_result_async()).status == GoalStatus.STATUS_CANCELED
    assert robot.robot[-1].status == RobotState.ENABLED


@pytest.mark.parametrize(
    "goal, words",
    [
        ({"instruction": " "}, "instruction"),
        ({"suite": "libero_object"}, "suite"),
        ({"clock": "lockstep"}, "realtime"),
    ],
)
def test_a_goal_that_no_robot_can_run_is_refused_with_the_reason(bench, goal, words):
    robot = bench()
    robot.enable()
    answer = answer_of(robot.send(**goal).get_result_async())
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert words in answer.result.message


def test_a_script_enables_the_arm_and_its_end_stops_it(bench):
    robot = bench(domain=int(os.environ.get("ROS_DOMAIN_ID", "0")), beating=False)
    robot.answer = waving()
    with Client("script") as client:
        client.enable_robot()
        result = client.run_episode("", -1, -1, instruction="wave", max_steps=25)
        assert result.steps == 25
        assert robot.robot[-1].owner == "script"
        client.disable_robot()
        robot.until(lambda: robot.robot[-1].status == RobotState.DISABLED)
        client.enable_robot()
        robot.until(lambda: robot.robot[-1].status == RobotState.ENABLED)
    robot.until(lambda: robot.robot[-1].reason == "lease_expired")


class WatchedClient(Client):
    """Notes when it waits for the system and when it enables the arm."""

    did: ClassVar[list[str]] = []
    asks: ClassVar[threading.Event] = threading.Event()

    def wait_until_ready(self, timeout: float = 60.0, recording: bool = False) -> None:
        self.asks.set()
        super().wait_until_ready(timeout, recording)
        self.did.append("ready")

    def enable_robot(self) -> None:
        self.did.append("enable")
        super().enable_robot()


def test_the_command_line_enables_the_arm_only_once_there_is_a_policy(bench, monkeypatch):
    robot = bench(domain=int(os.environ.get("ROS_DOMAIN_ID", "0")), beating=False)
    robot.answer = waving()
    monkeypatch.setattr(run_client, "Client", WatchedClient)
    parser = argparse.ArgumentParser()
    run_client.add_arguments(parser)
    given = parser.parse_args(["--robot", "--instruction", "wave", "--max-steps", "10"])
    statuses: list[int] = []
    running = threading.Thread(target=lambda: statuses.append(run_client.run(given)))
    running.start()
    assert WatchedClient.asks.wait(PATIENCE)
    assert WatchedClient.did == []
    for kind, name in ((SetSteering, "steering/set"), (SetBool, "steering/bypass")):
        robot.node.create_service(kind, name, lambda request, response: response)
    running.join(PATIENCE)
    assert statuses == [0] and WatchedClient.did == ["ready", "enable"]
    robot.until(lambda: robot.executed and robot.executed[-1].step == 9)
    robot.until(lambda: robot.robot[-1].status == RobotState.DISABLED)


def test_a_script_recovers_a_stopped_arm_and_waits_for_as_long_as_the_bridge_may(
    bench, monkeypatch: pytest.MonkeyPatch
):
    robot = bench(domain=int(os.environ.get("ROS_DOMAIN_ID", "0")), lease=3.0)
    robot.enable()
    robot.call("stop")
    robot.until(lambda: robot.robot[-1].status == RobotState.STOPPED)
    robot.beating = False
    with Client("script") as client:
        with pytest.raises(EnableRefused, match="--recover"):
            client.enable_robot()
        waits: list[float] = []
        wait = client._wait

        def noted(future: Any, limit: float, name: str) -> Any:
            waits.append(limit)
            return wait(future, limit, name)

        monkeypatch.setattr(client, "_wait", noted)
        client.recover_robot()
        assert waits[0] > _PATIENCE + _ANSWER
        robot.until(lambda: robot.robot[-1].status == RobotState.DISABLED)
        client.enable_robot()
        robot.until(lambda: robot.robot[-1].owner == "script")


def test_a_second_bridge_stops_the_first(bench):
    robot = bench()
    robot.enable()
    other = robot.node.create_publisher(RobotCommand, "robot_command", qos.EXECUTED)
    robot.until(lambda: robot.robot[-1].status == RobotState.STOPPED)
    assert "two bridges" in robot.robot[-1].detail
    robot.call("recover")
    refused = robot.call("enable", data=True)
    assert not refused.success and "two bridges" in refused.message
    robot.node.destroy_publisher(other)


def test_bags_hold_what_a_robots_bridge_tells():
    names = {topic.name for topic in CONTRACT_TOPICS}
    assert {"robot_state", "robot_command", "bridge/heartbeat"} <= names


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"contract": "config/contracts/libero.yaml"}, "15"),
        ({"robot": "nobody"}, "panda"),
        ({"actions": "dance"}, "droid"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_at_the_start(parameters, words):
    with pytest.raises(ConfigurationError, match=words):
        RobotBench(**parameters)


def test_a_way_back_is_refused_where_every_joint_stands_in_its_range(bench):
    robot = bench()
    ask = robot.node.create_client(Trigger, "bridge/way_back")
    assert ask.wait_for_service(PATIENCE)
    answer = answer_of(ask.call_async(Trigger.Request()))
    assert not answer.success and "no way back" in answer.message


def test_several_clients_that_are_heard_of_get_no_enable_and_are_named(bench):
    robot = bench(lease=1.0)
    beats = robot.node.create_publisher(SteeringLease, "bridge/heartbeat", qos.HEARTBEAT)
    robot.node.create_timer(0.1, lambda: beats.publish(SteeringLease(owner="other", duration=2.0)))
    robot.until(lambda: "other" in robot.bridge._admission.heard.names())
    answer = robot.call("enable", data=True)
    assert not answer.success and "'other'" in answer.message and "'tester'" in answer.message
    assert robot.robot[-1].status == RobotState.DISABLED
