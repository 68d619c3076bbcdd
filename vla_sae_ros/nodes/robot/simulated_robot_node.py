"""A simulated Franka at a loopback address, for rehearsals: the strict simulator as a process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from vla_sae_ros.core.parameters import parameter
from vla_sae_ros.nodes.base.parameters import declare_parameters
from vla_sae_ros.nodes.base.running import exit_at_once, run_node
from vla_sae_ros.robot.strict_sim.process import StrictRobotProcess
from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import to_header
from vla_sae_ros.wire.steady import steady_timer


@dataclass(frozen=True)
class SimulatedRobotParameters:
    """The simulated robot's."""

    host: str = parameter("127.0.0.2", "loopback address of the simulated robot")
    robot: str = parameter("panda", "robot whose limits apply", choices=("panda", "fr3"))
    time_scale: float = parameter(
        1.0, "robot seconds per second, below 1 for a slow machine", minimum=0.05, maximum=1.0
    )
    patience: float = parameter(
        0.2,
        "how long the robot's clock pauses while a command is late; a real robot does not pause",
        unit="s",
        minimum=0.0,
        maximum=10.0,
    )


class SimulatedRobotNode(Node):
    """Keeps the simulator's process; says on /diagnostics how to order faults from it."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("robot", **node_options)
        values = declare_parameters(self, SimulatedRobotParameters)
        self._started = time.monotonic()
        self._robot = StrictRobotProcess(
            values.host,
            "--robot",
            values.robot,
            "--time-scale",
            str(values.time_scale),
            "--patience",
            str(values.patience),
        )
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        steady_timer(self, 1.0, self._diagnose)
        self.get_logger().info(f"a simulated {values.robot} serves at {values.host}")

    def destroy_node(self) -> None:
        """End the simulator, then the node."""
        self._robot.close()
        super().destroy_node()

    def _diagnose(self) -> None:
        status = DiagnosticStatus(
            level=DiagnosticStatus.OK,
            name=f"{self.get_name()}: simulated robot",
            hardware_id="simulation",
            message=f"serving at {self._robot.host}",
        )
        self._diagnostics.publish(
            DiagnosticArray(header=to_header(self.get_clock().now().nanoseconds), status=[status])
        )


def main(args: list[str] | None = None) -> int:
    """Run the simulated robot; return the exit status."""
    return run_node(SimulatedRobotNode, args)


if __name__ == "__main__":
    exit_at_once(main())
