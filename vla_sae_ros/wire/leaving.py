"""Leaving the ROS graph."""

from __future__ import annotations

from rclpy.node import Node

from vla_sae_ros.own_process import limited_end


def leave_graph(node: Node) -> None:
    """Destroy a node, the only one of its context, and shut the context down.

    The context's DDS participant goes with the node. Fast DDS as the wheels have it can wait for
    itself there for ever, with a whole core and the GIL: `DomainParticipant::set_listener` waits
    for a discovery callback that is at work, until a point in time that overflows, and so never
    lets go of the lock that the callback needs (eProsima/Fast-DDS#6513). In a process of this
    package's own that has a limit, which begins when the node's `destroy_node` is through.

    Nobody may spin the node any more. What keeps a part of it alive, such as an action client,
    keeps the participant alive, too: destroy it before.
    """
    handle = node.handle
    handle.__enter__()  # in use: the participant stays while destroy_node closes what there is
    try:
        node.destroy_node()
    finally:
        with limited_end():
            handle.__exit__(None, None, None)
            node.context.try_shutdown()
