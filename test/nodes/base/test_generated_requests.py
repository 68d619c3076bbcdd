"""Generated requests to every service, action and topic of every node: it lives, what is refused
changes nothing, and every answer can be sent. Over DDS, through the executor of every process.

As many requests per service as VLA_SAE_ROS_REQUESTS says (60 without it; a thousand take minutes);
three where a request has nothing but a truth value to say.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from generated_messages import BROKEN, MARKED, MessageGenerator
from node_rigs import NAMES, Rig, make_rig
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.serialization import serialize_message

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.core.errors import LONGEST_REASON
from vla_sae_ros.nodes.base.callback_report import callback_status
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.action_client import ActionClient
from vla_sae_ros.wire.guarded_executor import GuardedExecutor, failures_by_place

REQUESTS = int(os.environ.get("VLA_SAE_ROS_REQUESTS", "60"))
TURNS = 20_000
LARGEST_ANSWER = 1_000_000
"""[bytes] of an answer: 70 reasons of the longest kind, twice."""


class Bench:
    """One node of the package and one that asks it, in one guarded executor."""

    def __init__(self, rig: Rig, context: Any) -> None:
        self.rig, self.node = rig, rig.node
        self.asker = Node("asker", context=context)
        self.executor = GuardedExecutor(context=context)
        for each in (self.node, self.asker):
            self.executor.add_node(each)

    def until(self, condition: Callable[[], Any], what: object) -> None:
        for _ in range(TURNS):
            if condition():
                return
            self.executor.spin_once(timeout_sec=0.05)
        pytest.fail(f"it did not happen: {what}")

    def answer(self, client: Any, request: Any) -> Any:
        future = client.call_async(request)
        self.until(future.done, (client.srv_name, request))
        return future.result()

    def values(self) -> dict[str, Any]:
        names = self.node.get_parameters_by_prefix("")
        return {name: self.node.get_parameter(name).value for name in names}

    def close(self) -> None:
        self.executor.shutdown()
        for each in (self.node, self.asker):
            each.destroy_node()


@pytest.fixture(params=NAMES)
def bench(request, ros_context, tmp_path, monkeypatch) -> Iterator[Bench]:
    monkeypatch.chdir(tmp_path)
    made = Bench(make_rig(request.param, ros_context, request, tmp_path), ros_context)
    yield made
    made.close()


def says_much(kind: type) -> bool:
    return not set(kind.get_fields_and_field_types().values()) <= {"boolean"}


def refusals(request: Any, answer: Any) -> list[tuple[str, str]]:
    """Return (parameter or "", reason) of all that an answer refuses."""
    if hasattr(answer, "results") and hasattr(request, "parameters"):
        return [
            (asked.name, result.reason)
            for asked, result in zip(request.parameters, answer.results, strict=True)
            if not result.successful
        ]
    taken = getattr(answer, "accepted", getattr(answer, "success", None))
    if taken is False:
        return [("", getattr(answer, "reason", getattr(answer, "message", "?")))]
    return []


def test_generated_requests_end_no_node_and_change_nothing_where_refused(bench):
    generator = MessageGenerator(7, sorted(bench.values()))
    # A transition of the lifecycle loads or drops a model: what it does is tested with the node.
    services = [one for one in bench.node.services if not one.srv_name.endswith("change_state")]
    refused = 0
    for service in services:
        client = bench.asker.create_client(service.srv_type, service.srv_name)
        bench.until(client.service_is_ready, service.srv_name)
        for _ in range(REQUESTS if says_much(service.srv_type.Request) else 3):
            request = generator.fill(service.srv_type.Request())
            before, values = bench.rig.stand(), bench.values()
            answer = bench.answer(client, request)
            assert len(serialize_message(answer)) < LARGEST_ANSWER
            for name, reason in refusals(request, answer):
                refused += 1
                assert len(reason) <= LONGEST_REASON, service.srv_name
                assert harmless(reason), (service.srv_name, request, reason)
                if isinstance(request, SetParameters.Request):
                    taken = [
                        asked.name
                        for asked, result in zip(request.parameters, answer.results, strict=True)
                        if result.successful
                    ]
                    if name not in taken:
                        assert same(bench.values().get(name), values.get(name)), request
                else:
                    assert bench.rig.stand() == before, (service.srv_name, request, answer)
        bench.asker.destroy_client(client)
    assert refused > REQUESTS / 10
    assert failures_by_place(bench.node) == {}


def harmless(text: str) -> bool:
    """Tell whether a terminal shows a text as it is: nothing of others steers or hides it."""
    return text.replace("\n", "").isprintable()


def same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)  # NaN is the same as NaN here


@pytest.mark.parametrize("bench", ["sim bridge", "robot bridge"], indirect=True)
def test_generated_goals_each_get_a_result_that_says_why(bench):
    generator = MessageGenerator(11)
    client = ActionClient(bench.asker, RunEpisode, "run_episode")
    bench.until(client.server_is_ready, "run_episode")
    for _ in range(REQUESTS):
        goal = generator.fill(RunEpisode.Goal())
        sent = client.send_goal_async(goal)
        bench.until(sent.done, goal)
        ended = sent.result().get_result_async()
        bench.until(ended.done, goal)
        result = ended.result().result
        assert not result.success and result.message and len(result.message) <= LONGEST_REASON
    client.destroy()
    assert failures_by_place(bench.node) == {}


def test_generated_messages_on_every_topic_end_no_node_and_are_refused_where_they_are_read(bench):
    generator, marked = MessageGenerator(13), MessageGenerator(17, classes=[[MARKED]])
    for heard in list(bench.node.subscriptions):
        publisher = bench.asker.create_publisher(heard.msg_type, heard.topic_name, qos.LATCHED)
        bench.until(publisher.get_subscription_count, heard.topic_name)
        for _ in range(REQUESTS // 2):
            publisher.publish(generator.fill(heard.msg_type()))
            bench.executor.spin_once(timeout_sec=0.0)
        for _ in range(3):
            message = serialize_message(marked.fill(heard.msg_type()))
            publisher.publish(message.replace(MARKED.encode(), BROKEN))
            bench.executor.spin_once(timeout_sec=0.0)
        bench.asker.destroy_publisher(publisher)
    client = bench.asker.create_client(
        SetParameters, f"{bench.node.get_fully_qualified_name()}/set_parameters"
    )
    bench.until(client.service_is_ready, "parameters")
    assert bench.answer(client, SetParameters.Request()) is not None, "it lives"
    assert failures_by_place(bench.node) == {}
    assert callback_status(bench.node).message == "none has failed"
