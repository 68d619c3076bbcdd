from __future__ import annotations

import importlib.metadata
import threading
from dataclasses import dataclass

import pytest
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from vla_sae_ros.core.parameters import parameter
from vla_sae_ros.msg import NodeDescription
from vla_sae_ros.nodes.base.node_description import DescriptionPublisher, describe
from vla_sae_ros.nodes.base.parameters import declare_parameters
from vla_sae_ros.wire import qos


@dataclass(frozen=True)
class Values:
    rate: float = parameter(20.0, "rate", minimum=0.0, maximum=50.0, live=True)
    clock: str = parameter("lockstep", "clock")
    folders: tuple[str, ...] = parameter(("a", "b"), "folders")
    verbose: bool = parameter(True, "verbose")


@pytest.fixture
def node(ros_context):
    made = Node("someone", namespace="left", context=ros_context)
    declare_parameters(made, Values)
    yield made
    made.destroy_node()


def test_a_description_says_what_the_node_is_and_every_parameter(node):
    message = describe(node, {"policy_id": "abc", "sites": ["x", "y"], "none": []})
    told = dict(zip(message.names, message.values, strict=True))
    assert message.node == "/left/someone"
    assert message.software_version == importlib.metadata.version("vla_sae_ros")
    assert told["policy_id"] == "abc"
    assert told["sites"] == "[x, y]"
    assert told["none"] == "[]"
    assert told["parameter.rate"] == "20.0"
    assert told["parameter.clock"] == "lockstep"
    assert told["parameter.folders"] == "[a, b]"
    assert told["parameter.verbose"] == "true"


def test_it_is_latched_and_follows_a_parameter_that_changes(node, ros_context):
    description = DescriptionPublisher(node, {})
    late, arrived, rates = Node("late", context=ros_context), threading.Condition(), []

    def keep(message):
        with arrived:
            rates.append(dict(zip(message.names, message.values, strict=True))["parameter.rate"])
            arrived.notify_all()

    late.create_subscription(NodeDescription, "/left/description", keep, qos.DESCRIPTION)
    executor = SingleThreadedExecutor(context=ros_context)
    executor.add_node(late)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        with arrived:
            assert arrived.wait_for(lambda: rates == ["20.0"], 30.0)
        node.set_parameters([RosParameter("rate", value=10.0)])
        with arrived:
            assert arrived.wait_for(lambda: rates == ["20.0", "10.0"], 30.0)
    finally:
        executor.shutdown()
        thread.join()
        late.destroy_node()
    description.destroy()
    assert "/left/description" not in {publisher.topic_name for publisher in node.publishers}
