"""How fast the hand moves, from `ee_pose`, at the stamps of inferences."""

from __future__ import annotations

import math

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node

from vla_sae_ros.wire import qos
from vla_sae_ros.wire.conversions import NANOSECONDS, to_ns

_KEPT = 400
"""Poses: some seconds of a robot's."""


class HandSpeed:
    """Hears `ee_pose`; an observation's pose is the newest whose stamp is not after its own."""

    def __init__(self, node: Node) -> None:
        self._poses: dict[int, np.ndarray] = {}
        self._before: tuple[int, np.ndarray] | None = None
        node.create_subscription(PoseStamped, "ee_pose", self._take, qos.SENSOR)

    def begin(self) -> None:
        """Forget the inference before: another episode begins."""
        self._before = None

    def since_before(self, stamp_ns: int) -> float:
        """Return the hand's mean speed [m/s] since the inference before; NaN where unknown."""
        earlier = [one for one in self._poses if one <= stamp_ns]
        if not earlier:
            return math.nan
        position = self._poses[max(earlier)]
        before, self._before = self._before, (stamp_ns, position)
        if before is None or stamp_ns <= before[0]:
            return math.nan
        seconds = (stamp_ns - before[0]) / NANOSECONDS
        return float(np.linalg.norm(position - before[1])) / seconds

    def _take(self, message: PoseStamped) -> None:
        point = message.pose.position
        position = np.array([point.x, point.y, point.z])
        if not np.isfinite(position).all():
            return
        self._poses[to_ns(message.header.stamp)] = position
        while len(self._poses) > _KEPT:
            del self._poses[next(iter(self._poses))]
