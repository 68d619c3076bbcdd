"""The process of the robot bridge."""

from __future__ import annotations

import contextlib
import os

from rclpy.node import Node

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.nodes.base.running import exit_at_once, run_node
from vla_sae_ros.nodes.robot.bridge import RobotBridge
from vla_sae_ros.nodes.robot.parameters import RobotBridgeParameters
from vla_sae_ros.nodes.robot.topic_driver import TopicDriver
from vla_sae_ros.robot.driver import Driver
from vla_sae_ros.robot.drivers.simulated_driver import SimulatedDriver
from vla_sae_ros.robot.settings import RobotSettings

PRIORITY = 5
"""Real-time, below every thread of the control loop."""


def make_driver(node: Node, values: RobotBridgeParameters, settings: RobotSettings) -> Driver:
    """Return the driver that the parameters ask for; raises ConfigurationError."""
    if values.mode == "simulated":
        return SimulatedDriver(settings.published, settings.reset_pose)
    if values.mode == "direct":
        return _franka(values, settings)
    return TopicDriver(node, values, settings, lambda: node.get_clock().now().nanoseconds)


def _franka(values: RobotBridgeParameters, settings: RobotSettings) -> Driver:
    # Only who speaks to a Franka needs franky.
    try:
        from vla_sae_ros.robot.drivers.franky_driver import FrankyDriver
    except ImportError as error:
        raise ConfigurationError(
            f"mode:=direct needs franky ({error}). Install franky-control, or use another mode."
        ) from error
    if not values.robot_ip:
        raise ConfigurationError("mode:=direct needs robot_ip:=<the robot's address>.")
    return FrankyDriver(
        values.robot_ip,
        settings,
        values.control,
        with_hand=values.hand == "franka",
    )


def make_node() -> RobotBridge:
    """Return the bridge over the robot that its parameters name."""
    return RobotBridge(make_driver)


def raise_priority() -> None:
    """Put the whole process before what is not real-time, as far as that is allowed.

    All threads share the interpreter: one that is put aside for another process while it holds it
    would hold up the control thread, whatever that one's own priority. Where it is not allowed, the
    control loop says so.
    """
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))


def main(args: list[str] | None = None) -> int:
    """Run the bridge; return the exit status."""
    raise_priority()
    return run_node(make_node, args)


if __name__ == "__main__":
    exit_at_once(main())
