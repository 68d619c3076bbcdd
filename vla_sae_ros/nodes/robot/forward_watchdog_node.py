"""Stands between the bridge and a forward controller, which has no timeout of its own.

The bridge publishes on `forward_command`; this node passes on what comes. When nothing comes for
`timeout` it repeats the last target `repeats` times: the arm ends there, at rest. It never steps
back to where the arm is measured: that would be a jump of the target, and would take away the error
that carries the arm. It runs as a process of its own, best on the robot's computer: it must live
when the bridge does not. While another node publishes where the controller listens, nothing is
passed on: two that command one arm pull it back and forth.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

from vla_sae_ros.core.parameters import parameter
from vla_sae_ros.nodes.base.node_description import DescriptionPublisher
from vla_sae_ros.nodes.base.parameters import declare_parameters
from vla_sae_ros.nodes.base.running import run_node
from vla_sae_ros.nodes.robot.rivals import other_publishers
from vla_sae_ros.nodes.robot.topic_driver import FR3_JOINTS
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.steady import steady_timer


@dataclass(frozen=True)
class WatchdogParameters:
    """The forward watchdog's."""

    controller_topic: str = parameter(
        "/forward_position_controller/commands", "topic of the controller's commands"
    )
    hardware_joints: tuple[str, ...] = parameter(
        (), "the arm's joint names; empty = fr3_joint1 to fr3_joint7"
    )
    timeout: float = parameter(
        0.2,
        "silence after which the arm is held where it is",
        unit="s",
        minimum=0.05,
        maximum=2.0,
        live=True,
    )
    repeats: int = parameter(5, "number of hold commands to send then", minimum=1, maximum=1000)


LOOK_PERIOD = 0.02  # [s]
RIVALS_PERIOD = 0.5  # [s]


class ForwardWatchdog(Node):
    """Passes commands on; holds the arm when they stop."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("forward_watchdog", **node_options)
        values = declare_parameters(self, WatchdogParameters, self._changed)
        self._names = values.hardware_joints or FR3_JOINTS
        self._timeout = values.timeout
        self._repeats = values.repeats
        self._left = 0
        self._heard = 0.0
        self._hold: np.ndarray | None = None
        self._last: np.ndarray | None = None
        self._out = self.create_publisher(Float64MultiArray, values.controller_topic, qos.COMMAND)
        self.create_subscription(Float64MultiArray, "forward_command", self._command, qos.COMMAND)
        self._rivals: tuple[str, ...] = ()
        steady_timer(self, LOOK_PERIOD, self._look)
        steady_timer(self, RIVALS_PERIOD, self._look_for_rivals)
        self._description = DescriptionPublisher(self, {})

    def _changed(self, values: WatchdogParameters) -> None:
        self._timeout = values.timeout

    def _command(self, message: Float64MultiArray) -> None:
        values = np.array(message.data)
        if values.shape != (len(self._names),) or not np.isfinite(values).all():
            self.get_logger().error(
                "a command was dropped: it does not have one finite position per joint",
                throttle_duration_sec=1.0,
            )
            return
        if self._rivals:
            self.get_logger().error(
                f"{', '.join(self._rivals)}: another node commands this arm. End it; nothing is "
                "forwarded until then",
                throttle_duration_sec=1.0,
            )
            return
        self._heard, self._left, self._hold = time.monotonic(), self._repeats, None
        self._last = values
        self._out.publish(message)

    def _look_for_rivals(self) -> None:
        self._rivals = other_publishers(self, self._out.topic_name)

    def _look(self) -> None:
        if not self._left or time.monotonic() - self._heard < self._timeout:
            return
        if self._hold is None:
            self._hold = self._last
            self.get_logger().error(f"no command for {self._timeout:g} s: holding the arm")
        if self._hold is not None:
            self._left -= 1
            self._out.publish(Float64MultiArray(data=array("d", self._hold.tolist())))


def main(args: list[str] | None = None) -> int:
    """Run the watchdog; return the exit status."""
    return run_node(ForwardWatchdog, args)


if __name__ == "__main__":
    raise SystemExit(main())
