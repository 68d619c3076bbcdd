"""Brakes a controller's target from where it was last sent, tick by tick, after a stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from vla_sae_ros.nodes.robot.controller_outputs import braking
from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.settings import RobotSettings


class TargetBrake:
    """Remembers the motion of the targets; `begin` brings it to rest, on a thread of its own.

    Args:
        publish: sends one target (N,) rad to the controller, given the one before it.
    """

    def __init__(self, settings: RobotSettings, publish: Callable[[Joints, Joints], None]) -> None:
        self._publish = publish
        self._period = settings.period
        self._acceleration, self._fastest = settings.limits.acceleration, settings.limits.velocity
        self._lock = threading.Lock()
        self._last: Joints | None = None
        self._velocity: Joints = np.zeros(settings.joints)
        self._ended = threading.Event()

    def sent(self, target: Joints, measured: Joints) -> None:
        """Note a target (N,) rad; a braking that is under way ends."""
        with self._lock:
            self._ended.set()
            before = measured if self._last is None else self._last
            velocity = (target - before) / self._period
            self._velocity = np.clip(velocity, -self._fastest, self._fastest)
            self._last = target.copy()

    def begin(self) -> None:
        """Send the first target of the braking now, and the rest a tick apart."""
        with self._lock:
            last, self._last = self._last, None
            self._ended = threading.Event()
        if last is None:
            return
        way = braking(last, self._velocity, self._acceleration, self._period) or [last]
        self._publish(way[0], last)
        if len(way) > 1:
            threading.Thread(
                target=self._go_on, args=(way, self._ended), name="target-brake", daemon=True
            ).start()

    def _go_on(self, way: list[Joints], ended: threading.Event) -> None:
        for before, target in pairwise(way):
            if ended.wait(self._period):
                return
            with self._lock:
                if ended.is_set():
                    return
                self._publish(target, before)
