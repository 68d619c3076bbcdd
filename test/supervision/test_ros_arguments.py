from __future__ import annotations

import pytest
from rclpy.node import Node

from vla_sae_ros.supervision.ros_arguments import ros_arguments
from vla_sae_ros.systems.simulation import NodeSpec

VALUES = {
    "whole": 3,
    "real": 3.0,
    "switch": True,
    "text": "lockstep",
    "text_like_a_number": "12",
    "text_like_a_switch": "yes",
    "text_with_marks": 'it\'s "here": a, b # c',
    "texts": ("a folder", "another"),
}


@pytest.fixture
def node(ros_context):
    spec = NodeSpec("bridge", "", "", VALUES, remappings=(("episode", "other_episode"),))
    arguments = ros_arguments(spec, namespace="left")
    made = Node(
        "default",
        context=ros_context,
        cli_args=arguments,
        automatically_declare_parameters_from_overrides=True,
    )
    yield made
    made.destroy_node()


def test_rcl_reads_back_name_namespace_and_remappings(node: Node) -> None:
    assert node.get_fully_qualified_name() == "/left/bridge"
    assert node.resolve_topic_name("episode") == "/left/other_episode"


@pytest.mark.parametrize("name", VALUES)
def test_rcl_reads_back_every_parameter_with_its_type(node: Node, name: str) -> None:
    value = node.get_parameter(name).value
    expected = list(VALUES[name]) if isinstance(VALUES[name], tuple) else VALUES[name]
    assert value == expected and type(value) is type(expected)
