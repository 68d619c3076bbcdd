"""A Franka Panda or FR3 over libfranka, through franky.

Every method belongs on one thread, the control thread: franky makes it real-time, and what it
starts inherits that. franky is never handed a number that the envelope has not passed: one NaN
would abort the robot's control loop.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable

import franky
import numpy as np

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.robot.driver import Joints, RobotFault, RobotReading, RobotUnreachable
from vla_sae_ros.robot.faults import USER_STOP, stop_for_flags
from vla_sae_ros.robot.franky_gripper import FrankyGripper
from vla_sae_ros.robot.franky_modes import COLLISION, MODES, TOOL_LIMITS, FollowMode
from vla_sae_ros.robot.gripper import GripperThread
from vla_sae_ros.robot.realtime import become_realtime, raised
from vla_sae_ros.robot.reasons import Stop
from vla_sae_ros.robot.settings import RobotSettings

_REST = 2.0
"""[s] within which an arm that brakes has to stand."""
_CLEAR = 0.5
"""[s] within which cleared errors have to be gone from the state."""
_LOST = (franky.NetworkException, franky.ProtocolException, franky.IncompatibleVersionException)
_QUOTED = re.compile(r'"([a-z_]+)"')
_log = logging.getLogger(__name__)


class FrankyDriver:
    """Joint impedance as DROID, joint velocity or Cartesian velocity.

    Args:
        host: the robot's address.
        mode: a name from franky_modes.MODES.
        with_hand: drive Franka's own hand; False for an arm with another gripper, or none.
        clock: monotonic [s].
    """

    name = "franky"

    def __init__(
        self,
        host: str,
        settings: RobotSettings,
        mode: str = "joint_impedance",
        with_hand: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if mode not in MODES:
            raise ConfigurationError(complaint("Control mode", mode, ", ".join(MODES)))
        self._host, self._settings, self._mode_name = host, settings, mode
        self._clock = clock
        self._robot: franky.Robot | None = None
        self._mode: FollowMode = MODES[mode](settings)
        self._hand = GripperThread(FrankyGripper(host)) if with_hand else None
        self._following = False
        self._robot_time = -1
        self._stamp = -float("inf")

    def connect(self) -> None:
        """Connect and set our own limits."""
        self._robot, self._following, self._robot_time = None, False, -1
        self._mode = MODES[self._mode_name](self._settings)
        try:
            with raised():
                robot = franky.Robot(self._host, realtime_config=franky.RealtimeConfig.Ignore)
            become_realtime()  # franky has made this thread the most urgent one
            self._limit(robot)
        except franky.Exception as error:
            raise RobotUnreachable(f"No Franka at {self._host}: {error}") from error
        self._robot = robot

    def read(self) -> RobotReading:
        """Return the newest state; its stamp is when its robot time was first seen."""
        robot = self._alive()
        try:
            state, in_control = robot.state, robot.is_in_control
        except _LOST as error:
            raise self._gone(error) from error
        now = state.time.to_msec()
        if now != self._robot_time:
            self._robot_time, self._stamp = now, self._clock()
        stop, detail = self._fault(robot, state, in_control)
        opening = float("nan") if self._hand is None else self._hand.opening
        return RobotReading(self._stamp, np.asarray(state.q, float), np.asarray(state.dq, float),
                            opening, in_control, stop, detail)  # fmt: skip

    def send(self, target: Joints) -> None:
        """Follow (7,) rad; the first time, take control."""
        robot = self._alive()
        self._following = True
        try:
            with raised():  # the 1 kHz thread that this may start must not wait for this one
                self._mode.follow(robot, target)
        except _LOST as error:
            raise self._gone(error) from error
        except (franky.ControlException, franky.CommandException) as error:
            raise self._refused(robot, error) from error

    def gripper(self, closing: float) -> None:
        """Open (0) or close (1) the hand; the latest request wins."""
        if self._hand is not None:
            self._hand.request(closing)

    def stop(self) -> None:
        """Brake and let go; harmless when nothing moves."""
        robot, self._following = self._robot, False
        if self._hand is not None:
            self._hand.stop()
        if robot is None:
            return
        try:
            if robot.is_in_control:
                self._mode.brake(robot)
        except franky.Exception as error:  # it has stopped by itself, for another reason
            _log.warning("braking was refused: %s", error)

    def recover(self) -> None:
        """Clear reflexes, or connect anew."""
        robot = self._robot
        if robot is None:
            self.connect()
            return
        self._wait_for_rest(robot)
        try:
            if robot.state.robot_mode == franky.RobotMode.UserStopped:
                raise RobotFault("The user stop is pressed; release it first.", (USER_STOP,))
            robot.recover_from_errors()
            self._wait_for_clear(robot)
        except _LOST:
            self.connect()
        except franky.Exception as error:
            raise self._refused(robot, error) from error

    def close(self) -> None:
        """Stop and disconnect."""
        self.stop()
        if self._robot is not None:
            self._wait_for_rest(self._robot)
        self._robot = None
        if self._hand is not None:
            self._hand.close()

    def _limit(self, robot: franky.Robot) -> None:
        """Set what can only be set at rest; franky's own limits are another robot's."""
        limits = self._settings.limits
        robot.joint_velocity_limit.set(limits.velocity)
        robot.joint_acceleration_limit.set(limits.acceleration)
        robot.joint_jerk_limit.set(limits.jerk)
        for name, value in TOOL_LIMITS.items():
            getattr(robot, name).set(value)
        robot.set_collision_behavior(np.full(7, COLLISION), np.full(6, COLLISION))

    def _alive(self) -> franky.Robot:
        if self._robot is None:
            raise RobotUnreachable(f"There is no connection to {self._host}; recover first.")
        return self._robot

    def _gone(self, error: Exception) -> RobotUnreachable:
        """A robot object whose network failed is of no use any more."""
        self._robot, self._following = None, False
        return RobotUnreachable(f"The connection to {self._host} is gone: {error}")

    def _refused(self, robot: franky.Robot, error: Exception) -> RobotFault:
        """Name the flags of an exception; they stand quoted in its text."""
        flags = tuple(_QUOTED.findall(str(error))) or _flags(robot.state)
        if robot.state.robot_mode == franky.RobotMode.UserStopped:
            flags = (*flags, USER_STOP)
        return RobotFault(str(error), flags)

    def _fault(
        self, robot: franky.Robot, state: franky.RobotState, in_control: bool
    ) -> tuple[str, str]:
        """Return the stop that the robot's own state stands for, and its text; empty: none."""
        if state.robot_mode == franky.RobotMode.UserStopped:
            return Stop.USER_STOP, "the user stop is pressed"
        if state.robot_mode == franky.RobotMode.Reflex:
            flags = _flags(state)
            return stop_for_flags(flags), ", ".join(flags) or "a reflex without a flag"
        if not self._following or in_control:
            return "", ""
        try:
            robot.poll_motion()
        except _LOST as error:
            raise self._gone(error) from error
        except franky.Exception as error:
            fault = self._refused(robot, error)
            return stop_for_flags(fault.flags), str(error)
        return "", ""

    def _wait_for_clear(self, robot: franky.Robot) -> None:
        """The state that says so comes a little after the answer."""
        until = self._clock() + _CLEAR
        while robot.has_errors or robot.state.robot_mode == franky.RobotMode.Reflex:
            if self._clock() > until:
                raise RobotFault("The robot could not clear its errors.", _flags(robot.state))
            time.sleep(0.005)

    def _wait_for_rest(self, robot: franky.Robot) -> None:
        try:
            robot.join_motion(timeout=_REST)
        except franky.Exception as error:  # why a motion ended has been said when it did
            _log.info("the last motion ended with: %s", error)


def _flags(state: franky.RobotState) -> tuple[str, ...]:
    errors = state.current_errors
    return tuple(name for name in dir(errors) if name[0] != "_" and getattr(errors, name))
