"""Requests that a strict robot may refuse; everything else is franky-sim's."""

from __future__ import annotations

from typing import Protocol

from franky_sim import franka_robot_protocol as protocol


class StrictServer(Protocol):
    """What the requests need of the server."""

    @property
    def urdf(self) -> str:
        """What the robot says of itself."""
        ...

    def begin_motion(self, command: protocol.MoveCommand) -> protocol.MoveStatus:
        """Start a motion, or return why not."""
        ...

    def end_motion(self, status: protocol.MoveStatus) -> None:
        """End the motion, if there is one, and tell the client how."""
        ...

    def try_recovery(self) -> protocol.AutomaticErrorRecoveryStatus:
        """Clear the errors, or return why not."""
        ...


class GetModel(protocol.GetRobotModelCommand):
    """Tells the robot's URDF, with the limits of the model that it is."""

    def handle(self, server: StrictServer) -> None:
        """Answer with the URDF."""
        self.reply(0, payload=server.urdf.encode("ascii"))


class Move(protocol.MoveCommand):
    """Starts a motion."""

    def handle(self, server: StrictServer) -> None:
        """Answer that it started, or why not."""
        self.reply(server.begin_motion(self))


class StopMove(protocol.StopMoveCommand):
    """Ends a motion from outside its control loop."""

    def handle(self, server: StrictServer) -> None:
        """Answer, then tell the waiting motion that it was preempted."""
        self.reply(0)
        server.end_motion(protocol.MoveStatus.kPreempted)


class Recovery(protocol.AutomaticErrorRecoveryCommand):
    """Clears errors, as nothing else does."""

    def handle(self, server: StrictServer) -> None:
        """Answer how it went."""
        self.reply(server.try_recovery())
