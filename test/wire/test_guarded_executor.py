"""No callback ends a node: of a service, a subscription, a timer, a future, an action's body."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from patience import PATIENCE, eventually
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_msgs.msg import String
from std_srvs.srv import Trigger

from vla_sae_ros.core.errors import LONGEST_REASON
from vla_sae_ros.wire.guarded_executor import GuardedExecutor, NodeFailed, failures_of
from vla_sae_ros.wire.steady import steady_timer


class Bench:
    """One node whose callbacks fail, and one that asks it, in one executor."""

    def __init__(self, context) -> None:
        self.executor = GuardedExecutor(context=context)
        self.node, self.asker = Node("broken", context=context), Node("asker", context=context)
        for node in (self.node, self.asker):
            self.executor.add_node(node)

    def until(self, condition) -> None:
        for _ in range(2000):
            if condition():
                return
            self.executor.spin_once(timeout_sec=0.02)
        pytest.fail("it did not happen")

    def call(self, kind, name, request):
        client = self.asker.create_client(kind, name)
        assert client.wait_for_service(PATIENCE)
        future = client.call_async(request)
        self.until(future.done)
        return future.result()

    def close(self) -> None:
        self.executor.shutdown()
        for node in (self.node, self.asker):
            node.destroy_node()


@pytest.fixture
def bench(ros_context) -> Iterator[Bench]:
    made = Bench(ros_context)
    yield made
    made.close()


def fail(*_arguments: object) -> None:
    raise RecursionError("nobody thought of this")


def test_a_service_that_fails_answers_with_the_reason_every_time(bench):
    bench.node.create_service(Trigger, "ask", fail)
    for _ in range(2):
        answer = bench.call(Trigger, "ask", Trigger.Request())
        assert not answer.success and "nobody thought of this" in answer.message
    assert failures_of(bench.node) == 2


def test_a_coroutine_service_that_fails_answers_too(bench):
    async def later(_request, _response):
        fail()

    bench.node.create_service(Trigger, "ask", later)
    assert "nobody thought" in bench.call(Trigger, "ask", Trigger.Request()).message


def test_an_answer_that_could_not_be_sent_is_made_one_that_can(bench):
    def answer(_request, response):
        response.success, response.message = True, "\ud83d" + "x" * 10**6
        return response

    bench.node.create_service(Trigger, "ask", answer)
    told = bench.call(Trigger, "ask", Trigger.Request())
    assert told.success and "\\ud83d" in told.message
    assert len(told.message) < LONGEST_REASON + 20


def test_a_parameter_callback_that_fails_refuses_the_change(bench):
    bench.node.declare_parameter("rate", 1.0)
    bench.node.add_on_set_parameters_callback(fail)
    request = SetParameters.Request(parameters=[Parameter("rate", value=2.0).to_parameter_msg()])
    (result,) = bench.call(SetParameters, "broken/set_parameters", request).results
    assert not result.successful and "nobody thought" in result.reason
    assert bench.node.get_parameter("rate").value == 1.0


def test_a_subscription_a_timer_and_a_future_that_fail_go_on_being_called(bench):
    calls = {"message": 0, "timer": 0, "future": 0}

    def failing(name):
        def callback(*_):
            calls[name] += 1
            fail()

        return callback

    bench.node.create_subscription(String, "talk", failing("message"), 10)
    publisher = bench.asker.create_publisher(String, "talk", 10)
    steady_timer(bench.node, 0.001, failing("timer"))
    bench.until(lambda: publisher.get_subscription_count() > 0)
    for _ in range(2):
        publisher.publish(String(data="x"))
        future = Future(executor=bench.executor)
        future.add_done_callback(failing("future"))
        future.set_result(None)
    bench.until(lambda: min(calls.values()) >= 2)


def test_what_cannot_even_be_taken_leaves_the_subscription_alive(bench, monkeypatch):
    heard = []
    subscription = bench.node.create_subscription(
        String, "talk", lambda message: heard.append(message.data), 10
    )
    take = bench.executor._take_subscription
    broken = [True]

    def take_badly(entity):
        if entity is subscription and broken.pop() if broken else False:
            take(entity)
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        return take(entity)

    monkeypatch.setattr(bench.executor, "_take_subscription", take_badly)
    publisher = bench.asker.create_publisher(String, "talk", 10)
    bench.until(lambda: publisher.get_subscription_count() > 0)
    publisher.publish(String(data="lost"))
    bench.until(lambda: failures_of(bench.node) == 1)
    publisher.publish(String(data="heard"))
    bench.until(lambda: heard)
    assert heard == ["heard"]


def test_a_failure_is_logged_once_with_its_trace_and_counted_ever_after(bench, capfd):
    bench.node.create_service(Trigger, "ask", fail)
    for _ in range(3):
        bench.call(Trigger, "ask", Trigger.Request())
    assert capfd.readouterr().err.count("Traceback") == 1
    assert failures_of(bench.node) == 3


def test_a_node_that_cannot_go_on_says_so_and_ends(bench):
    def give_up() -> None:
        raise NodeFailed("the model's thread died")

    steady_timer(bench.node, 0.001, give_up)
    with pytest.raises(NodeFailed):
        bench.until(lambda: False)


def test_a_steady_timer_runs_under_sim_time_without_a_clock(ros_context):
    node = Node(
        "sim", context=ros_context, parameter_overrides=[Parameter("use_sim_time", value=True)]
    )
    executor, fired = GuardedExecutor(context=ros_context), threading.Event()
    executor.add_node(node)
    steady_timer(node, 0.01, fired.set)
    for _ in range(500):
        executor.spin_once(timeout_sec=0.02)
        if fired.is_set():
            break
    assert fired.is_set()
    executor.shutdown()
    node.destroy_node()


def test_what_another_thread_destroys_does_not_end_who_spins(ros_context):
    """A camera that is watched no longer, a person's topics after the hand back."""
    node = Node("spun", context=ros_context)
    executor, heard = GuardedExecutor(context=ros_context), threading.Event()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    publisher = node.create_publisher(String, "later", 10)
    first, *_ = publisher.event_handlers
    first.destroy()  # it is on the node still, as for a moment while another thread destroys it
    thread.start()
    node.create_subscription(String, "later", lambda _: heard.set(), 10)
    node.destroy_publisher(publisher)
    speaker = node.create_publisher(String, "later", 10)
    eventually(lambda: speaker.publish(String(data="on")) or heard.wait(0.01))
    assert thread.is_alive()
    executor.shutdown()
    thread.join(PATIENCE)
    node.destroy_node()
