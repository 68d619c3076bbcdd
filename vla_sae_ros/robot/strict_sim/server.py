"""The robot's side of libfranka's protocol: one motion at a time, judged at every tick."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
from franky_sim import franka_robot_protocol as protocol
from franky_sim.franka_gripper_server import FrankaGripperServer
from franky_sim.franka_robot_protocol import MoveStatus, RobotMode
from franky_sim.franka_server import BaseCommand, FrankaServer

from vla_sae_ros.robot.drivers.error_flags import ERROR_FLAGS
from vla_sae_ros.robot.limits import RobotLimits
from vla_sae_ros.robot.strict_sim.arm import Arm
from vla_sae_ros.robot.strict_sim.commands import GetModel, Move, Recovery, StopMove
from vla_sae_ros.robot.strict_sim.injected import Injected
from vla_sae_ros.robot.strict_sim.motion import Motion, motion_for
from vla_sae_ros.robot.strict_sim.rules import CommandRules, MissedCommands
from vla_sae_ros.robot.strict_sim.state_packet import StatePacket
from vla_sae_ros.robot.strict_sim.urdf import urdf_for

_PORT = 1337
_PROTOCOL = 10
_LOOK = 0.0002
"""[s] between two looks for a late command."""
_MODES = {"other": RobotMode.kOther, "guiding": RobotMode.kGuiding}
_COMMANDS = {
    protocol.RobotCommand.kMove: Move,
    protocol.RobotCommand.kStopMove: StopMove,
    protocol.RobotCommand.kAutomaticErrorRecovery: Recovery,
    protocol.RobotCommand.kSetCollisionBehavior: protocol.SetCollisionBehaviorCommand,
    protocol.RobotCommand.kSetJointImpedance: protocol.SetJointImpedanceCommand,
    protocol.RobotCommand.kSetCartesianImpedance: protocol.SetCartesianImpedanceCommand,
    protocol.RobotCommand.kGetRobotModel: GetModel,
    protocol.RobotCommand.kSetLoad: protocol.SetLoadCommand,
    protocol.RobotCommand.kSetNEToEE: protocol.SetNEToEECommand,
    protocol.RobotCommand.kSetEEToK: protocol.SetEEToKCommand,
}


class StrictRobotServer(FrankaServer):
    """Call `tick` once per millisecond of the robot's clock.

    Args:
        arm: what moves.
        limits: whose commands are judged by.
        hosts: addresses to serve.
        patience: [s] for which the robot's time stands while a command is late.
    """

    def __init__(
        self, arm: Arm, limits: RobotLimits, hosts: Iterable[str], patience: float = 0.0
    ) -> None:
        self._arm = arm
        self._limits = limits
        self._patience = patience
        self._rules = CommandRules(limits)
        self._packet = StatePacket()
        self._motion: Motion | None = None
        self._motion_id = 0
        self._arrived: protocol.UDPCommand | None = None
        self._lost = False  # a command was dropped to order at this tick
        self._gripper: FrankaGripperServer | None = None
        self.missed = MissedCommands()
        self.injected = Injected()
        self.errors: set[str] = set()
        self.aborts: list[str] = []
        """Why motions were aborted, one flag each, since the start."""
        super().__init__(hosts, _PORT, _COMMANDS, _PROTOCOL)

    @property
    def robot(self) -> Arm:
        """Return the arm, for franky-sim's commands."""
        return self._arm

    @property
    def gripper(self) -> FrankaGripperServer | None:
        """Return the hand's server, once bound."""
        return self._gripper

    @property
    def urdf(self) -> str:
        """Return what it says of itself: libfranka asks for it at every connection."""
        return urdf_for(self._limits)

    @property
    def moving(self) -> bool:
        """Tell whether a client has control."""
        return self._motion is not None

    def tick(self, fair: bool) -> None:
        """Take commands, judge, move by a millisecond, send the state.

        Args:
            fair: the client had its millisecond; a late simulator must not blame it.
        """
        cut = self.injected.cut_for > 0
        self.injected.cut_for -= cut
        self.injected.repeat_for -= self.injected.repeat_for > 0
        self._arrived, self._lost = None, False
        if not cut:
            self._turn_away()
            self.process_commands()
            fair |= self._wait_for_command()
        flag = self._judge(fair)
        if flag:
            self.abort(flag)
        self._move()
        if not cut:
            self.send_state()

    def begin_motion(self, command: protocol.MoveCommand) -> MoveStatus:
        """Start a motion unless an error, the user stop or another motion forbids it."""
        if self.injected.user_stop or self.injected.mode:
            return MoveStatus.kCommandRejectedDueToActivatedSafetyFunctions
        if self.errors or self._motion is not None:
            return MoveStatus.kCommandNotPossibleRejected
        try:
            self._motion = motion_for(command, self._arm, self._rules)
        except ValueError:
            return MoveStatus.kInvalidArgumentRejected
        self._motion_id = command.command_id
        self.missed.start()
        return MoveStatus.kMotionStarted

    def end_motion(self, status: MoveStatus) -> None:
        """End the motion, if there is one, and tell the client how."""
        if self._motion is None:
            return
        self._motion = None
        motion_id, self._motion_id = self._motion_id, 0
        if self.tcp_connected:
            BaseCommand.send_response(
                self._tcp_socket, protocol.RobotCommand.kMove, motion_id, status
            )

    def abort(self, flag: str) -> None:
        """Set a reflex flag; a motion ends with it."""
        self.errors.add(flag)
        self.aborts.append(flag)
        self._packet["reflex_reason"][:] = self._flags()
        self.send_state()  # the client looks for the reason in the state it already has
        self.end_motion(MoveStatus.kReflexAborted)

    def press_user_stop(self, pressed: bool) -> None:
        """Press or release the user stop."""
        self.injected.user_stop = pressed
        if pressed:
            self.end_motion(MoveStatus.kPreemptedDueToActivatedSafetyFunctions)

    def enter_mode(self, mode: str) -> None:
        """Be in somebody's hands ("guiding"), with closed brakes ("other"), or ready ("")."""
        self.injected.mode = mode
        if mode:
            self.end_motion(MoveStatus.kPreemptedDueToActivatedSafetyFunctions)

    def try_recovery(self) -> protocol.AutomaticErrorRecoveryStatus:
        """Clear the errors unless the user stop is pressed."""
        if self.injected.user_stop:
            status = protocol.AutomaticErrorRecoveryStatus
            return status.kCommandRejectedDueToActivatedSafetyFunctions
        self.errors.clear()
        return protocol.AutomaticErrorRecoveryStatus.kSuccess

    def _judge(self, fair: bool) -> str:
        """Return the flag that ends the motion at this tick, or nothing."""
        if self.injected.reflex:
            flag, self.injected.reflex = self.injected.reflex, ""
            return flag
        measured = "" if self.errors else self._rules.measured(self._arm.q, self._arm.dq)
        if measured or self._motion is None:
            return measured
        if self._arrived is None:
            # A client whose command was dropped has begun to send: its first one counts, too.
            counts = self._lost or (fair and self._motion.started)
            late = counts and self.missed.tick(False)
            return "communication_constraints_violation" if late else ""
        ticks = self.missed.in_a_row + 1
        self.missed.tick(True)
        if self._arrived.motion_generation_finished or self._arrived.torque_command_finished:
            self.end_motion(MoveStatus.kSuccess)
            return ""
        return self._motion.take(self._arrived, ticks)

    def _wait_for_command(self) -> bool:
        """Let a client of a busy machine be late; True when its patience was worn out."""
        until = time.monotonic() + self._patience
        while self._motion is not None and self._motion.started and not self._has_come():
            if time.monotonic() >= until:
                return self._patience > 0
            time.sleep(_LOOK)
            self.process_commands()
        return False

    def _has_come(self) -> bool:
        return self._lost or self._arrived is not None

    def _turn_away(self) -> None:
        """Refuse a second client; franky-sim would let it wait for ever."""
        if not self.tcp_connected:
            return
        try:
            second, _ = self._FrankaServer__server_socket.accept()
        except BlockingIOError:
            return
        second.close()

    def _move(self) -> None:
        if self._motion is None:
            self._arm.brake()
        else:
            self._motion.step()

    def _handle_udp_command(self, command_data: bytes) -> None:
        if self._lost:
            return  # a client that catches up sends several in a tick; they are one tick's loss
        if self.injected.drop_commands > 0:
            self.injected.drop_commands -= 1
            self._lost = True
            return
        command = protocol.UDPCommand.from_bytes(command_data)
        if command.message_id > 0 and self._motion is not None:
            self._arrived = command

    def _get_state_bytes(self) -> bytes:
        packet, arm, motion = self._packet, self._arm, self._motion
        if self.injected.repeat_for <= 0:
            packet["q"][:] = packet["theta"][:] = arm.q
            packet["dq"][:] = packet["dtheta"][:] = arm.dq
        packet["q_d"][:] = arm.q
        packet["dq_d"][:] = arm.dq if motion is None else motion.dq_d
        packet["ddq_d"][:] = 0.0 if motion is None else motion.ddq_d
        packet["tau_J"][:] = arm.tau
        packet["tau_J_d"][:] = 0.0 if motion is None else motion.tau_d
        packet["O_T_EE"][:] = packet["O_T_EE_d"][:] = packet["O_T_EE_c"][:] = arm.pose()
        elbow = (arm.q[2], np.sign(arm.q[3]))
        packet["elbow"][:] = packet["elbow_d"][:] = packet["elbow_c"][:] = elbow
        packet["errors"][:] = self._flags()
        modes = (0, 3) if motion is None else motion.modes
        packet["motion_generator_mode"][:], packet["controller_mode"][:] = modes
        packet["robot_mode"][:] = self._robot_mode()
        packet["control_command_success_rate"][:] = self.missed.success_rate if motion else 0.0
        return packet.pack()

    def _robot_mode(self) -> RobotMode:
        if self.injected.user_stop:
            return RobotMode.kUserStopped
        if self.errors:
            return RobotMode.kReflex
        if self.injected.mode:
            return _MODES[self.injected.mode]
        return RobotMode.kIdle if self._motion is None else RobotMode.kMove

    def _flags(self) -> list[bool]:
        return [flag in self.errors for flag in ERROR_FLAGS]

    def _reset_state(self) -> None:
        """A client came or went: whatever it moved brakes."""
        self._motion, self._motion_id = None, 0

    def _bind_children(self, hostname: str) -> None:
        self._gripper = FrankaGripperServer(self._arm, hostname)
        self._gripper.init()

    def cleanup(self) -> None:
        """Close the sockets."""
        if self._gripper is not None:
            self._gripper.cleanup()
        super().cleanup()
