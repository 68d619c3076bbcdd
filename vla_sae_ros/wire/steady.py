"""Timers of what is promised in wall time: they run whatever clock the node follows.

A timer of `create_timer` runs on the node's clock: with use_sim_time and no /clock it never fires.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ROSClock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.timer import Timer

_STEADY = Clock(clock_type=ClockType.STEADY_TIME)


def follows_sim_time(node: Node) -> bool:
    """Return whether the node's clock is /clock (use_sim_time)."""
    clock = node.get_clock()
    return isinstance(clock, ROSClock) and bool(clock.ros_time_is_active)


def steady_timer(
    node: Node, period: float, callback: Callable[[], object], **options: Any
) -> Timer:
    """Return a timer of the node, `period` [s] of a clock that never jumps."""
    return node.create_timer(period, callback, clock=_STEADY, **options)
