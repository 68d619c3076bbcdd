"""The arm's mechanics: rigid bodies under torque control, stiff tracking under the robot's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import franky_sim
import numpy as np
import pinocchio as pin

from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.limits import RobotLimits
from vla_sae_ros.robot.strict_sim.rules import TICK, TORQUE

_TRACKING = 0.2
"""Share of a velocity error that the robot's own controller removes per tick."""
_FRICTION = np.array([0.5, 0.5, 0.5, 0.5, 0.2, 0.2, 0.2])
"""(7,) [Nm s/rad]"""
_ROTOR = 0.1
"""[kg m^2] of every motor, seen through its gear; the links alone are too light to be stable."""
_HAND = pin.Inertia(0.73, np.array([-0.01, 0.0, 0.03]), np.diag([0.001, 0.0025, 0.0017]))
"""Franka's hand."""
_HAND_SPEED = 0.1
"""[m/s]"""
_TOOL = pin.SE3(pin.rpy.rpyToMatrix(0.0, 0.0, -np.pi / 4), np.array([0.0, 0.0, 0.1034]))
"""From the flange to the point between the fingers, as franky-sim's and Franka's hand."""


class Arm:
    """An FR3 (its kinematics are the Panda's) with a hand, stepped by a millisecond.

    What franky-sim's servers call a robot, as far as they use it.
    """

    has_gripper = True

    def __init__(self, limits: RobotLimits, q: Joints) -> None:
        urdf = Path(franky_sim.__file__).parent / "assets" / "fr3_clean.urdf"
        self._model = pin.buildModelFromUrdf(str(urdf))
        flange = self._model.frames[self._model.getFrameId("link8")]
        placement = flange.placement * _TOOL
        self._tool = self._model.addFrame(
            pin.Frame("tool", flange.parentJoint, placement, pin.FrameType.OP_FRAME)
        )
        self._model.inertias[flange.parentJoint] += flange.placement.act(_HAND)
        self._model.armature = np.full(7, _ROTOR)
        self._flange, self._wrist = flange.placement, flange.parentJoint
        self._unloaded = self._model.inertias[self._wrist].copy()
        self._hanging = self._model.copy()  # what the arm is; the model is what it takes itself for
        self._data, self._true_data = self._model.createData(), self._hanging.createData()
        self._braking = limits.acceleration * TICK
        self.q, self.dq = q.astype(float), np.zeros(7)
        self.tau = np.zeros(7)
        """(7,) [Nm] of the last tick, gravity included."""
        self.hand_width = 0.08
        self._hand_goal, self._hand_speed = 0.08, _HAND_SPEED

    def track(self, dq: Joints) -> None:
        """Follow a commanded velocity (7,) rad/s for a tick."""
        self.dq += _TRACKING * (dq - self.dq)
        self._advance()

    def brake(self) -> None:
        """Slow down as hard as the acceleration limits allow, then stand."""
        self.dq -= np.clip(self.dq, -self._braking, self._braking)
        self._advance()

    def push(self, tau: Joints) -> None:
        """Take commanded torques (7,) Nm, to which the robot adds gravity, for a tick.

        The gravity of what it knows of: a load that nobody named pulls it down.
        """
        gravity = pin.computeGeneralizedGravity(self._model, self._data, self.q)
        self.tau = np.clip(tau, -TORQUE, TORQUE) + gravity
        forces = self.tau - _FRICTION * self.dq
        self.dq += TICK * pin.aba(self._hanging, self._true_data, self.q, self.dq, forces)
        self._advance()

    def hang(self, mass: float, centre: Joints) -> None:
        """Hang a load [kg] on the flange, its centre (3,) [m] in the flange's frame; 0: none."""
        self._hanging.inertias[self._wrist] = self._with(
            pin.Inertia(mass, centre, np.zeros((3, 3)))
        )

    def pose(self) -> np.ndarray:
        """Return the tool's pose (16,), column by column, in the base frame."""
        pin.forwardKinematics(self._model, self._data, self.q)
        pose = pin.updateFramePlacement(self._model, self._data, self._tool)
        return pose.homogeneous.ravel(order="F")

    def joint_velocity(self, twist: Joints) -> Joints:
        """Return the joint velocity (7,) rad/s for a tool velocity (6,) m/s, rad/s."""
        jacobian = pin.computeFrameJacobian(
            self._model, self._data, self.q, self._tool, pin.ReferenceFrame.LOCAL_WORLD_ALIGNED
        )
        damped = jacobian @ jacobian.T + 1e-4 * np.eye(6)
        return jacobian.T @ np.linalg.solve(damped, twist)

    def set_hand_goal(self, width: float, max_velocity: float, max_force: float) -> None:
        """Move the fingers to a width [m] at a speed [m/s]; nothing is held, so force is unused."""
        self._hand_goal = float(np.clip(width, 0.0, 0.08))
        self._hand_speed = min(float(max_velocity), _HAND_SPEED)

    def move_hand(self, elapsed: float) -> None:
        """Advance the fingers by `elapsed` s."""
        reach = self._hand_speed * elapsed
        self.hand_width += float(np.clip(self._hand_goal - self.hand_width, -reach, reach))

    def set_load(
        self, load_mass: float, F_x_Cload: Sequence[float], load_inertia: Sequence[float]
    ) -> None:
        """Carry what a client names, (3,) [m] in the flange's frame and (9,) [kg m^2], from now on.

        The gravity of a load that does not hang there lifts the arm.
        """
        inertia = np.array(load_inertia, float).reshape(3, 3)
        load = pin.Inertia(float(load_mass), np.array(F_x_Cload, float), inertia)
        self._model.inertias[self._wrist] = self._with(load)

    def set_NE_T_EE(self, ne_t_ee: object) -> None:
        """Accept a tool; the pose reported stays that of Franka's hand."""

    def set_EE_T_K(self, ee_t_k: object) -> None:
        """Accept a stiffness frame; no external force is simulated."""

    def _with(self, load: pin.Inertia) -> pin.Inertia:
        """Return the inertia of the last link with a load on the flange."""
        return self._unloaded + self._flange.act(load) if load.mass > 0 else self._unloaded

    def _advance(self) -> None:
        self.q = self.q + TICK * self.dq
