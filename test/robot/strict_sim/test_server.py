"""What the strict robot makes of a client whose commands come in bursts."""

from __future__ import annotations

from types import SimpleNamespace

from franky_sim.franka_robot_protocol import MoveCommandControllerMode, MoveStatus

from vla_sae_ros.robot.droid import RESET_POSE
from vla_sae_ros.robot.limits import FR3
from vla_sae_ros.robot.strict_sim.arm import Arm
from vla_sae_ros.robot.strict_sim.rules import MOST_MISSED
from vla_sae_ros.robot.strict_sim.server import StrictRobotServer


class FakeBursts(StrictRobotServer):
    """In the client's place: two commands in every tick."""

    def process_commands(self) -> None:
        for _ in range(2):
            self._handle_udp_command(b"never read: all are dropped")


def test_a_burst_of_commands_is_one_lost_command() -> None:
    """A busy client answers two states in one tick; the drop must still last its twenty."""
    robot = FakeBursts(Arm(FR3, RESET_POSE), FR3, [])
    asked = SimpleNamespace(
        controller_mode=MoveCommandControllerMode.kExternalController, command_id=1
    )
    assert robot.begin_motion(asked) == MoveStatus.kMotionStarted
    robot.injected.drop_commands = MOST_MISSED
    for _ in range(MOST_MISSED - 1):
        robot.tick(fair=True)
        assert robot.moving
    robot.tick(fair=True)
    assert not robot.moving
    assert robot.aborts == ["communication_constraints_violation"]
