"""The bridge's own process: real LIBERO, real DDS, real signals; only the policy is a fake."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from action_msgs.msg import GoalStatus
from patience import PATIENCE, answer_of
from rclpy.context import Context
from rclpy.node import Node
from second_domain import SECOND_DOMAIN
from spinning import Spinning

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.wire.action_client import ActionClient

BRIDGE = [sys.executable, "-m", "vla_sae_ros.nodes.sim.sim_bridge_node", "--ros-args"]


class Client:
    """A node with a fake policy and a client of run_episode, spun by a thread."""

    def __init__(self, fake_policy: Any) -> None:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=SECOND_DOMAIN)
        self.node = Node("client", context=self._context)
        self.policy = fake_policy(self.node)
        self.episodes = ActionClient(self.node, RunEpisode, "run_episode")
        self._spinning = Spinning(self.node)

    def send(self, **goal: Any) -> Any:
        return answer_of(self.episodes.send_goal_async(RunEpisode.Goal(**goal)))

    def close(self) -> None:
        self._spinning.close()
        self.episodes.destroy()
        self.node.destroy_node()
        self._context.try_shutdown()


def start(*parameters: str) -> subprocess.Popen[str]:
    arguments = [word for parameter in parameters for word in ("-p", parameter)]
    return subprocess.Popen(
        [*BRIDGE, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"ROS_DOMAIN_ID": str(SECOND_DOMAIN)},
    )


@pytest.fixture
def client(fake_policy) -> Iterator[Client]:
    made = Client(fake_policy)
    yield made
    made.close()


@pytest.mark.slow
def test_libero_runs_twice_to_the_same_bits_and_a_signal_ends_it(client):
    # The machine may be busy.
    process = start("step_timeout:=600.0", "reset_timeout:=600.0", "resend_after:=600.0")
    try:
        assert client.episodes.wait_for_server(PATIENCE)
        goal = {"suite": "libero_object", "task": 0, "init_state": 1, "seed": 5, "max_steps": 12}
        answers = [answer_of(client.send(**goal).get_result_async()) for _ in range(2)]
        for answer in answers:
            assert answer.status == GoalStatus.STATUS_SUCCEEDED, answer.result.message
            assert (answer.result.steps, answer.result.held_ticks) == (12, 0)
        assert answers[0].result.actions_sha256 == answers[1].result.actions_sha256
        first, second = client.policy.frames[:3], client.policy.frames[3:]
        for before, after in zip(first, second, strict=True):
            for key in before:
                assert (before[key] == after[key]).all(), f"{key} differs between the runs"
        wrong = answer_of(client.send(suite="libero_object", init_state=999).get_result_async())
        assert "Unknown init state" in wrong.result.message

        client.policy.silent = True
        client.policy.asked.clear()
        client.send(**goal)
        assert client.policy.asked.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        _, errors = process.communicate()
    assert "Traceback" not in errors


@pytest.mark.slow
def test_a_wrong_parameter_ends_the_process_with_the_reason_and_status_2():
    process = start("clock:=sundial", "execute_stepz:=5")
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "'clock': got 'sundial'; allowed: one of 'lockstep', 'realtime'" in errors
    assert "Did you mean 'execute_steps'?" in errors
    assert "Traceback" not in errors
