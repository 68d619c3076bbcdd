"""One strict robot: clock, arm, servers and the socket on which faults are ordered."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from vla_sae_ros.core.errors import ConfigurationError, SimulationError, complaint
from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.drivers.error_flags import ERROR_FLAGS
from vla_sae_ros.robot.limits import RobotLimits
from vla_sae_ros.robot.strict_sim.arm import Arm
from vla_sae_ros.robot.strict_sim.clock import StrictClock
from vla_sae_ros.robot.strict_sim.remote import RemoteServer
from vla_sae_ros.robot.strict_sim.rules import TICK
from vla_sae_ros.robot.strict_sim.server import StrictRobotServer

_HAND_EVERY = 4
"""Ticks between two of the hand."""
_ORDERS_EVERY = 5
"""Ticks between two looks for orders."""
MODES = ("", "other", "guiding")
_IN_THE_HAND = np.array([0.0, 0.0, 0.1])
"""(3,) [m] from the flange to the centre of a load that is ordered."""


class StrictSimulation:
    """Bind, then `run`.

    Orders (`do`): status; user_stop (pressed); mode (mode: "other", "guiding" or ""); reflex
    (flag); drop (commands); cut (seconds); repeat (seconds: its states tell the same joints);
    freeze (seconds: the whole process stands still); load (kilograms: hangs them on the hand, and
    the robot does not know); kill (the process ends at once).

    Args:
        host: address to be the robot at.
        port: where orders are taken; 0: any free one.
        limits: whose commands are judged by.
        q: (7,) rad at the start.
        scale: robot seconds per second.
        patience: [s] for which the robot's time stands while a command is late; a real one has 0.

    Raises:
        ConfigurationError: the address is taken.
    """

    def __init__(
        self,
        host: str,
        port: int,
        limits: RobotLimits,
        q: Joints,
        scale: float = 1.0,
        patience: float = 0.0,
    ) -> None:
        self._arm = Arm(limits, q)
        self._server = StrictRobotServer(self._arm, limits, [host], patience)
        try:
            self._server.init()
            self._remote = RemoteServer(host, port, self._order)
        except OSError as error:
            raise ConfigurationError(f"The strict robot cannot have {host}: {error}") from error
        self.address = (host, self._remote.port)
        """Where orders are taken."""
        self._scale = scale
        self._clock = StrictClock(scale)
        self._running = True

    def run(self) -> None:
        """Tick until an order or an interrupt ends it."""
        self._clock = StrictClock(self._scale)
        try:
            while self._running:
                self.tick(self._clock.wait())
        finally:
            self._remote.close()
            self._server.cleanup()

    def tick(self, fair: bool) -> None:
        """Do what is due at this millisecond; see StrictRobotServer.tick."""
        self._server.tick(fair)
        ticks = self._clock.ticks
        gripper = self._server.gripper
        if ticks % _HAND_EVERY == 0 and gripper is not None and not self._server.injected.cut_for:
            self._arm.move_hand(_HAND_EVERY * TICK)
            gripper.process_commands()
            gripper.send_state()
        if ticks % _ORDERS_EVERY == 0:
            self._remote.poll()

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        injected = self._server.injected
        do = order.get("do")
        if do == "user_stop":
            self._server.press_user_stop(bool(order["pressed"]))
        elif do == "mode":
            self._server.enter_mode(_mode(order["mode"]))
        elif do == "repeat":
            injected.repeat_for = int(float(order["seconds"]) / TICK)
        elif do == "reflex":
            injected.reflex = _flag(order["flag"])
        elif do == "drop":
            injected.drop_commands = int(order["commands"])
        elif do == "cut":
            injected.cut_for = int(float(order["seconds"]) / TICK)
        elif do == "freeze":
            time.sleep(float(order["seconds"]))
        elif do == "load":
            self._arm.hang(float(order["kilograms"]), _IN_THE_HAND)
        elif do == "kill":
            os._exit(1)
        elif do == "end":
            self._running = False
        elif do != "status":
            allowed = "status, user_stop, mode, reflex, drop, cut, repeat, freeze, load, kill, end"
            raise SimulationError(complaint("Unknown order", do, allowed))
        return self._status()

    def _status(self) -> dict[str, Any]:
        server, clock, arm = self._server, self._clock, self._arm
        return {
            "ticks": clock.ticks,
            "rate": clock.rate,
            "slipped": clock.slipped,
            "moving": server.moving,
            "errors": sorted(server.errors),
            "aborts": server.aborts,
            "missed": server.missed.total,
            "missed_in_a_row": server.missed.longest,
            "user_stop": server.injected.user_stop,
            "hand": arm.hand_width,
            "q": arm.q.tolist(),
            "dq": arm.dq.tolist(),
        }


def _mode(mode: str) -> str:
    if mode not in MODES:
        raise SimulationError(complaint("Unknown mode", mode, "other, guiding, or nothing"))
    return mode


def _flag(flag: str) -> str:
    if flag not in ERROR_FLAGS:
        raise SimulationError(complaint("Unknown reflex flag", flag, ", ".join(ERROR_FLAGS)))
    return flag
