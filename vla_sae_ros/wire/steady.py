"""Timers of what is promised in wall time: they run whatever clock the node follows.

A timer of `create_timer` runs on the node's clock: with use_sim_time and no /clock it never fires.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.timer import Timer

_STEADY = Clock(clock_type=ClockType.STEADY_TIME)


def steady_timer(
    node: Node, period: float, callback: Callable[[], object], **options: Any
) -> Timer:
    """Return a timer of the node, `period` [s] of a clock that never jumps."""
    return node.create_timer(period, callback, clock=_STEADY, **options)
