"""Who asked is told from the graph: one node, the one that bears the owner's name, or all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from patience import eventually
from rclpy.context import Context
from rclpy.node import Node
from std_srvs.srv import Trigger

from vla_sae_ros.wire import callers
from vla_sae_ros.wire.callers import Callers

SERVICE = "steering/reset"


@pytest.fixture
def server(ros_context: Context) -> Iterator[Node]:
    node = Node("policy", namespace="/left", context=ros_context)
    yield node
    node.destroy_node()


def test_of_nodes_with_a_client_the_one_of_the_owners_name_has_asked(
    server: Node, ros_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "FRESH", 0.0)
    asked = Callers(server)
    assert asked.of(SERVICE) == ""
    nodes = [Node(name, namespace="/left", context=ros_context) for name in ("steer_7", "panel_1")]
    other = Node("elsewhere", context=ros_context)
    for node in (*nodes, other):
        node.create_client(Trigger, SERVICE)
    eventually(lambda: " or " in asked.of(SERVICE), "the graph does not know both")
    assert asked.of(SERVICE) == "/left/panel_1 or /left/steer_7"
    assert asked.of(SERVICE, "panel_1") == "/left/panel_1"
    assert asked.of(SERVICE, "somebody") == "/left/panel_1 or /left/steer_7"
    for node in (*nodes, other):
        node.destroy_node()
