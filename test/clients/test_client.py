"""The script client against a fake bridge, over real DDS."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import rclpy
from hanging_end import ended_while_it_hung, participant_threads
from patience import PATIENCE, eventually
from rclpy.action.server import ActionServer, ServerGoalHandle
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import SetBool, Trigger

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.clients.client import Client, InstructionRefused, NoAnswer
from vla_sae_ros.core.errors import SimulationError
from vla_sae_ros.srv import SetInstruction, SetSteering, StartRecording


@pytest.fixture
def fake_bridge(ros_context: Context) -> Iterator[Node]:
    """Answers every goal at once; aborts the one of an unknown suite."""
    node = rclpy.create_node("fake_bridge", context=ros_context)

    def run(handle: ServerGoalHandle) -> RunEpisode.Result:
        goal = handle.request
        if goal.suite == "unknown":
            handle.abort()
            return RunEpisode.Result(message="Unknown suite")
        handle.succeed()
        return RunEpisode.Result(episode_id="e1", success=True, steps=goal.max_steps)

    server = ActionServer(node, RunEpisode, "run_episode", run)
    executor = SingleThreadedExecutor(context=ros_context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    yield node
    executor.shutdown()
    thread.join()
    server.destroy()
    node.destroy_node()


def offer(node: Node, *services: tuple[type, str]) -> None:
    for kind, name in services:
        node.create_service(kind, name, lambda request, response: response)


POLICY = ((SetSteering, "steering/set"), (SetBool, "steering/bypass"), (Trigger, "steering/reset"))


def test_a_client_waits_until_policy_and_bridge_offer_what_it_needs(fake_bridge: Node) -> None:
    with Client("test_client") as client:
        missing: list[str] = []
        with pytest.raises(NoAnswer, match="steering/bypass, steering/reset, steering/set"):
            client.wait_until_ready(timeout=0.2, waiting_for=missing.append)
        assert "the policy node" in missing[-1]
        ready = threading.Event()

        def wait() -> None:
            client.wait_until_ready(timeout=PATIENCE)
            ready.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        offer(fake_bridge, *POLICY[:2])
        with pytest.raises(NoAnswer, match="steering/reset"):
            client.wait_until_ready(timeout=2.0)
        assert not ready.is_set()
        offer(fake_bridge, POLICY[2])
        waiting.join(PATIENCE)
        assert ready.is_set()


def test_a_client_that_records_waits_for_the_recorder_too(fake_bridge: Node) -> None:
    offer(fake_bridge, *POLICY)
    with Client("test_client") as client:
        client.wait_until_ready(timeout=PATIENCE)
        with pytest.raises(NoAnswer, match=r"from the recorder \(record/start\)\. "):
            client.wait_until_ready(timeout=0.2, recording=True)
        offer(fake_bridge, (StartRecording, "record/start"))
        client.wait_until_ready(timeout=PATIENCE, recording=True)


def test_an_episode_can_be_asked_for_before_the_bridge_was_discovered(fake_bridge: Node) -> None:
    with Client("test_client") as client:
        result = client.run_episode("libero_object", 0, max_steps=7)
    assert (result.success, result.steps) == (True, 7)


def test_an_episode_that_breaks_off_raises_the_bridges_reason(fake_bridge: Node) -> None:
    with Client("test_client") as client, pytest.raises(SimulationError, match="Unknown suite"):
        client.run_episode("unknown", 0)


def test_another_instruction_is_told_and_a_refusal_raises_the_bridges_reason(
    fake_bridge: Node,
) -> None:
    heard: list[SetInstruction.Request] = []

    def answer(
        request: SetInstruction.Request, response: SetInstruction.Response
    ) -> SetInstruction.Response:
        heard.append(request)
        response.accepted = request.instruction != "nonsense"
        response.reason, response.revision = "no episode runs", 3
        return response

    fake_bridge.create_service(SetInstruction, "instruction/set", answer)
    with Client("test_client") as client:
        assert client.tell("wave", "e7") == 3
        with pytest.raises(InstructionRefused, match="no episode runs"):
            client.tell("nonsense")
    assert (heard[0].instruction, heard[0].episode_id) == ("wave", "e7")
    assert heard[0].owner == "test_client"


def test_when_a_client_is_closed_nothing_of_it_is_in_the_graph() -> None:
    others = participant_threads()
    client = Client("test_client")
    threads = participant_threads() - others
    assert threads
    client.close()
    eventually(lambda: not participant_threads() & threads)


def test_a_command_that_hangs_at_its_end_is_ended() -> None:
    program = (
        "import sys\n"
        "from vla_sae_ros import cli\n"
        "from vla_sae_ros.clients import client\n"
        "client.SERVICE_TIMEOUT = 0.1\n"
        "cli.main()"
    )
    ended_while_it_hung(program, "record", "stop")
