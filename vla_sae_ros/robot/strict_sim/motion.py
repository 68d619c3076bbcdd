"""The kinds of motion a client can have control with."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from franky_sim import franka_robot_protocol as protocol
from franky_sim.franka_robot_protocol import (
    MoveCommandControllerMode,
    MoveCommandMotionGeneratorMode,
    StateControllerMode,
    StateMotionGeneratorMode,
)

from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.strict_sim.arm import Arm
from vla_sae_ros.robot.strict_sim.rules import TICK, CommandRules


class Motion(ABC):
    """From its start to its end; commands that break the rules return a flag."""

    def __init__(self, arm: Arm, rules: CommandRules, modes: tuple[int, int]) -> None:
        self._arm, self._rules = arm, rules
        self.modes = modes
        """Motion generator and controller as the state reports them."""
        self.started = False
        """A first command has come; before that, none can be missed."""
        self.dq_d: Joints = np.zeros(7)
        self.ddq_d: Joints = np.zeros(7)
        self.tau_d: Joints = np.zeros(7)

    def take(self, command: protocol.UDPCommand, ticks: int) -> str:
        """Take a command, `ticks` after the one before; return the flag it raises, or nothing."""
        self.started = True
        return self._take(command, ticks)

    @abstractmethod
    def _take(self, command: protocol.UDPCommand, ticks: int) -> str: ...

    @abstractmethod
    def step(self) -> None:
        """Move the arm by a tick."""

    def _take_velocity(self, dq: Joints, ticks: int) -> str:
        flag = self._rules.velocity(self._arm.q, dq, self.dq_d, ticks)
        if not flag:
            self.ddq_d = (dq - self.dq_d) / (TICK * ticks)
            self.dq_d = dq
        return flag


class JointVelocity(Motion):
    """dq_c under the robot's own controller."""

    def _take(self, command: protocol.UDPCommand, ticks: int) -> str:
        return self._take_velocity(np.array(command.dq_c), ticks)

    def step(self) -> None:
        """Track it; a missing command leaves the last one in force."""
        self._arm.track(self.dq_d)


class JointPosition(Motion):
    """q_c under the robot's own controller."""

    def __init__(self, arm: Arm, rules: CommandRules, modes: tuple[int, int]) -> None:
        super().__init__(arm, rules, modes)
        self._q = arm.q.copy()

    def _take(self, command: protocol.UDPCommand, ticks: int) -> str:
        q = np.array(command.q_c)
        flag = self._take_velocity((q - self._q) / (TICK * ticks), ticks)
        if not flag:
            self._q = q
        return flag

    def step(self) -> None:
        """Track it, and what is left of the error."""
        self._arm.track(self.dq_d + 20.0 * (self._q - self._arm.q))


class CartesianVelocity(Motion):
    """O_dP_EE_c under the robot's own controller."""

    def _take(self, command: protocol.UDPCommand, ticks: int) -> str:
        flag = self._take_velocity(self._arm.joint_velocity(np.array(command.O_dP_EE_c)), ticks)
        return flag.replace("joint_motion_generator_", "cartesian_motion_generator_joint_")

    def step(self) -> None:
        """As JointVelocity."""
        self._arm.track(self.dq_d)


class Torque(Motion):
    """tau_J_d of the client's own controller."""

    def _take(self, command: protocol.UDPCommand, ticks: int) -> str:
        tau = np.array(command.tau_J_d)
        flag = self._rules.torque(tau, self.tau_d, ticks)
        if not flag:
            self.tau_d = tau
        return flag

    def step(self) -> None:
        """Push; a missing command leaves the last torque in force."""
        self._arm.push(self.tau_d)
        self.dq_d = self._arm.dq


_GENERATORS: dict[MoveCommandMotionGeneratorMode, tuple[type[Motion], StateMotionGeneratorMode]] = {
    MoveCommandMotionGeneratorMode.kJointPosition: (
        JointPosition,
        StateMotionGeneratorMode.kJointPosition,
    ),
    MoveCommandMotionGeneratorMode.kJointVelocity: (
        JointVelocity,
        StateMotionGeneratorMode.kJointVelocity,
    ),
    MoveCommandMotionGeneratorMode.kCartesianVelocity: (
        CartesianVelocity,
        StateMotionGeneratorMode.kCartesianVelocity,
    ),
}


def motion_for(command: protocol.MoveCommand, arm: Arm, rules: CommandRules) -> Motion:
    """Return the motion that a client asks for.

    Raises:
        ValueError: Cartesian positions are not simulated.
    """
    if command.controller_mode == MoveCommandControllerMode.kExternalController:
        modes = (StateMotionGeneratorMode.kNone, StateControllerMode.kExternalController)
        return Torque(arm, rules, (int(modes[0]), int(modes[1])))
    if command.motion_generator_mode not in _GENERATORS:
        raise ValueError(f"{command.motion_generator_mode.name} is not simulated")
    kind, generator = _GENERATORS[command.motion_generator_mode]
    controller = {
        MoveCommandControllerMode.kJointImpedance: StateControllerMode.kJointImpedance,
        MoveCommandControllerMode.kCartesianImpedance: StateControllerMode.kCartesianImpedance,
    }[command.controller_mode]
    return kind(arm, rules, (int(generator), int(controller)))
