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
from vla_sae_ros.robot.drivers.franky_gripper import FrankyGripper
from vla_sae_ros.robot.drivers.franky_modes import COLLISION, MODES, TOOL_LIMITS, FollowMode
from vla_sae_ros.robot.drivers.gripper import GripperThread
from vla_sae_ros.robot.drivers.model_check import misfit, model_of
from vla_sae_ros.robot.faults import USER_STOP, stop_for_flags
from vla_sae_ros.robot.limits import RobotLimits
from vla_sae_ros.robot.loop.realtime import become_realtime, raised
from vla_sae_ros.robot.reasons import Stop
from vla_sae_ros.robot.settings import RobotSettings

_REST = 2.0
"""[s] within which an arm that brakes has to stand."""
_CLEAR = 0.5
"""[s] within which cleared errors have to be gone from the state."""
_SILENT = 3.0
"""[s] without a new state after which nobody is there. libfranka says so itself after 1 s, but not
when the robot dies while a motion is about to start: then it waits for the answer for ever."""
_ATTEMPTS, _PAUSE = 10, 0.25
"""Attempts of a recovery to connect, and [s] between two of them: a robot refuses until it has
noticed that its last client is gone, which takes it up to two seconds."""
_LOST = (franky.NetworkException, franky.ProtocolException, franky.IncompatibleVersionException)
_QUOTED = re.compile(r'"([a-z_]+)"')
OTHER_SYSTEM = (
    "The robot runs another system version than this franky was built for. franky-control from "
    "the registry speaks server version 10 (FR3, system 5.9 or later). A Panda (system 4.2: server "
    "version 5, libfranka 0.9.2) or an FR3 with an older system needs the wheel of franky-control "
    "that was built for its libfranka: see docs/robot.md, Robot and wheel."
)
_BLOCKED = {
    franky.RobotMode.Other: (
        "The robot is in mode Other: its brakes are closed, or it is in Desk's hands. Open the "
        "brakes and activate FCI in Desk."
    ),
    franky.RobotMode.Guiding: (
        "The robot is being guided by hand. Let go of the guiding button, then enable it."
    ),
    franky.RobotMode.UserStopped: "The user stop is pressed; release it first.",
}
"""Modes in which a robot cannot be moved though nothing is wrong with it."""
_log = logging.getLogger(__name__)


class OtherSystem(RobotUnreachable):
    """The robot is there, and speaks another version than this franky: asking again is in vain."""


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
        self._with_hand = with_hand
        self._hand: GripperThread | None = None
        """From the first connection on: without an arm there is no hand either."""
        self._following = False
        self._robot_time = -1
        self._stamp = -float("inf")
        self._attempt = 0
        self._misfit = ""

    def connect(self) -> None:
        """Connect and set our own limits; another model than ours may be read and not be moved.

        May block for as long as the robot is silent; a later attempt makes this one void.
        """
        self._attempt += 1
        attempt = self._attempt
        self._robot, self._following, self._robot_time = None, False, -1
        self._mode = MODES[self._mode_name](self._settings)
        try:
            with raised():
                robot = franky.Robot(self._host, realtime_config=franky.RealtimeConfig.Ignore)
            become_realtime()  # franky has made this thread the most urgent one
            self._prepare(robot)
            if attempt == self._attempt:
                self._robot = robot
                if self._with_hand and self._hand is None:
                    self._hand = GripperThread(FrankyGripper(self._host))
        except franky.IncompatibleVersionException as error:
            raise OtherSystem(f"{_said(error)} {OTHER_SYSTEM}") from _bare(error)
        except (franky.Exception, RuntimeError) as error:
            raise RobotUnreachable(
                f"No Franka at {self._host}: {_said(error)} Check that it is on, that FCI is "
                "active in Desk, and that no other program (such as a bridge) is connected to it."
            ) from _bare(error)

    def _prepare(self, robot: franky.Robot) -> None:
        """Compare the robot with our settings, and set what can only be set at rest."""
        # A franky for libfranka before 0.15, as a Panda needs it, has no model to tell.
        model = model_of(getattr(robot, "model_urdf", ""))
        wrong = "" if model is None else misfit(model, self._settings)
        self._misfit = f"These are another robot's limits: {wrong}." if wrong else ""
        _limit(robot, self._settings.limits)
        load = self._settings.payload
        if load is not None:
            robot.set_load(load.mass, load.centre, np.diag(load.inertia).ravel())

    def read(self) -> RobotReading:
        """Return the newest state; its stamp is when its robot time was first seen."""
        try:
            self._let_go()
            state, in_control = self._alive().state, self._alive().is_in_control
        except (*_LOST, RuntimeError) as error:  # a closed socket comes as a bare RuntimeError
            raise self._gone(error) from _bare(error)
        now = state.time.to_msec()
        if now != self._robot_time:
            self._robot_time, self._stamp = now, self._clock()
        elif self._clock() - self._stamp > _SILENT:
            raise self._gone(TimeoutError(f"no new state for {_SILENT:g} s"))
        stop, detail = self._fault(state, in_control)
        opening = float("nan") if self._hand is None else self._hand.opening
        return RobotReading(
            self._stamp,
            np.asarray(state.q, float),
            np.asarray(state.dq, float),
            opening,
            in_control,
            stop,
            detail,
            self._misfit or _BLOCKED.get(state.robot_mode, ""),
        )

    def send(self, target: Joints) -> None:
        """Follow (7,) rad; the first time, take control."""
        self._following = True
        try:
            with raised():  # the 1 kHz thread that this may start must not wait for this one
                self._mode.follow(self._alive(), target)
        except _LOST as error:
            raise self._gone(error) from _bare(error)
        except (franky.ControlException, franky.CommandException) as error:
            raise self._refused(error) from _bare(error)

    def gripper(self, closing: float) -> None:
        """Open (0) or close (1) the hand; the latest request wins."""
        if self._hand is not None:
            self._hand.request(closing)

    def stop(self) -> None:
        """Brake and let go; harmless when nothing moves."""
        self._following = False
        if self._hand is not None:
            self._hand.stop()
        try:
            if self._robot is not None and self._robot.is_in_control:
                self._mode.brake(self._robot)
        except franky.Exception as error:  # it has stopped by itself, for another reason
            _log.warning("braking was refused: %s", error)

    def recover(self) -> None:
        """Clear reflexes, or connect anew."""
        if self._robot is None:
            self._connect_anew()
            return
        self._wait_for_rest()
        try:
            if self._robot.state.robot_mode == franky.RobotMode.UserStopped:
                raise RobotFault("The user stop is pressed; release it first.", (USER_STOP,))
            self._robot.recover_from_errors()
            self._wait_for_clear()
            blocked = _BLOCKED.get(self._robot.state.robot_mode)
            if blocked:
                raise RobotFault(blocked, ())
        except (*_LOST, RuntimeError):
            self._connect_anew()
        except franky.Exception as error:
            raise self._refused(error) from _bare(error)

    def _connect_anew(self) -> None:
        """Connect; a robot that refuses is asked again for a while."""
        attempt = self._attempt + 1
        for left in reversed(range(_ATTEMPTS)):
            try:
                self.connect()
            except OtherSystem:
                raise
            except RobotUnreachable as error:
                if not left or self._attempt != attempt:
                    raise
                _log.info("%s Trying again.", error)
                time.sleep(_PAUSE)
                attempt += 1
            else:
                return

    def close(self) -> None:
        """Stop and disconnect."""
        self._attempt += 1  # one that still runs is void
        self.stop()
        if self._robot is not None:
            self._wait_for_rest()
        self._robot = None
        if self._hand is not None:
            self._hand.close()

    def _alive(self) -> franky.Robot:
        if self._robot is None:
            raise RobotUnreachable(f"There is no connection to {self._host}; recover first.")
        return self._robot

    def _gone(self, error: Exception) -> RobotUnreachable:
        """A robot object whose network failed is of no use any more."""
        self._robot, self._following = None, False
        return RobotUnreachable(f"The connection to {self._host} is gone: {error}")

    def _refused(self, error: Exception) -> RobotFault:
        """Name the flags of an exception; they stand quoted in its text."""
        state = self._alive().state
        flags = tuple(_QUOTED.findall(str(error))) or _flags(state)
        if state.robot_mode == franky.RobotMode.UserStopped:
            flags = (*flags, USER_STOP)
        return RobotFault(str(error), flags)

    def _fault(self, state: franky.RobotState, in_control: bool) -> tuple[str, str]:
        """Return the stop that the robot's own state stands for, and its text; empty: none."""
        if state.robot_mode == franky.RobotMode.UserStopped:
            return Stop.USER_STOP, "the user stop is pressed"
        if state.robot_mode == franky.RobotMode.Reflex:
            flags = _flags(state)
            return stop_for_flags(flags), ", ".join(flags) or "a reflex without a flag"
        if not self._following or in_control:
            return "", ""
        try:
            self._alive().poll_motion()
        except _LOST as error:
            raise self._gone(error) from _bare(error)
        except franky.Exception as error:
            return stop_for_flags(self._refused(error).flags), str(error)
        return "", ""

    def _wait_for_clear(self) -> None:
        """The state that says so comes a little after the answer."""
        until = self._clock() + _CLEAR
        while (state := self._alive().state).robot_mode == franky.RobotMode.Reflex:
            if self._clock() > until:
                raise RobotFault("The robot could not clear its errors.", _flags(state))
            time.sleep(0.005)

    def _let_go(self) -> bool:
        """Let go of an arm that has come to rest after a stop; True: it is let go of."""
        try:
            return self._following or self._mode.let_go(self._alive(), self._clock())
        except (franky.ControlException, franky.CommandException) as error:
            _log.info("the robot had already ended the motion by itself: %s", error)
            return True

    def _wait_for_rest(self) -> None:
        until = time.monotonic() + _REST
        try:
            while not self._let_go() and time.monotonic() < until:
                time.sleep(0.005)
            self._alive().join_motion(timeout=_REST)
        except (franky.Exception, RuntimeError) as error:  # why a motion ended has been said
            _log.info("the last motion ended with: %s", error)


def _bare(error: Exception) -> Exception:
    """Drop the frames that hold the robot: it disconnects when nothing refers to it any more."""
    return error.with_traceback(None)


def _said(error: Exception) -> str:
    return str(error.args[0] if error.args else error)


def _flags(state: franky.RobotState) -> tuple[str, ...]:
    errors = state.current_errors
    return tuple(name for name in dir(errors) if name[0] != "_" and getattr(errors, name))


def _limit(robot: franky.Robot, limits: RobotLimits) -> None:
    """Set what can only be set at rest; franky's own limits are another robot's."""
    robot.joint_velocity_limit.set(limits.velocity)
    robot.joint_acceleration_limit.set(limits.acceleration)
    robot.joint_jerk_limit.set(limits.jerk)
    for name, value in TOOL_LIMITS.items():
        getattr(robot, name).set(value)
    robot.set_collision_behavior(np.full(7, COLLISION), np.full(6, COLLISION))
