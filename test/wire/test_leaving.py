from __future__ import annotations

import contextlib
import signal

import pytest
import rclpy
from hanging_end import participant_threads
from patience import eventually
from rclpy.context import Context
from rclpy.node import Node

from vla_sae_ros.own_process import LIMIT, own_process
from vla_sae_ros.wire.leaving import leave_graph


def alarm() -> float:
    """Return the time until SIGALRM [s]; pytest-timeout's, which is long, or none: infinite."""
    return signal.getitimer(signal.ITIMER_REAL)[0] or float("inf")


class Closing(Node):
    """Notes the time until SIGALRM while it closes, and while its context is shut down."""

    def __init__(self, alarms: list[float]) -> None:
        context = Context()
        rclpy.init(context=context)
        super().__init__("closing", context=context)
        self.alarms = alarms
        context.on_shutdown(self.note)

    def note(self) -> None:
        self.alarms.append(alarm())

    def destroy_node(self) -> None:
        self.note()
        super().destroy_node()


@pytest.mark.parametrize("own", [True, False])
def test_only_the_end_of_the_participant_is_limited_and_only_in_a_process_of_ours(own: bool):
    before, alarms = alarm(), []
    others = participant_threads()
    node = Closing(alarms)
    threads = participant_threads() - others
    assert threads
    with own_process() if own else contextlib.nullcontext():
        leave_graph(node)
    closing, at_the_end = alarms
    assert closing > LIMIT
    assert (at_the_end <= LIMIT) == own
    eventually(lambda: not participant_threads() & threads)
    assert alarm() > LIMIT and (alarm() == float("inf")) == (before == float("inf"))


def test_a_node_that_cannot_be_closed_leaves_no_limit_behind():
    alarms: list[float] = []
    node = Closing(alarms)
    node.note = lambda: 1 / 0  # type: ignore[method-assign,assignment]
    with own_process(), pytest.raises(ZeroDivisionError):
        leave_graph(node)
    assert alarm() > LIMIT
    Node.destroy_node(node)
