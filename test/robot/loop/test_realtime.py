"""Real-time priorities where the machine allows some, all or none of them."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from vla_sae_ros.robot.loop.realtime import PRIORITY, become_realtime, raised


class FakeScheduler:
    """The calling thread's policy and priority, and the highest that `rtprio` allows."""

    def __init__(self, highest: int) -> None:
        self.highest, self.policy, self.priority = highest, os.SCHED_OTHER, 0

    def set(self, _thread: int, policy: int, param: os.sched_param) -> None:
        if policy == os.SCHED_FIFO and param.sched_priority > self.highest:
            raise PermissionError(1, "Operation not permitted")
        self.policy, self.priority = policy, param.sched_priority


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], FakeScheduler]:
    def make(highest: int) -> FakeScheduler:
        fake = FakeScheduler(highest)
        monkeypatch.setattr(os, "sched_setscheduler", fake.set)
        monkeypatch.setattr(os, "sched_getscheduler", lambda _: fake.policy)
        monkeypatch.setattr(os, "sched_getparam", lambda _: os.sched_param(fake.priority))
        return fake

    return make


@pytest.mark.parametrize("highest", [0, 70, 99])
def test_a_block_runs_at_what_is_allowed_and_the_thread_goes_back(
    machine: Callable[[int], FakeScheduler], highest: int
) -> None:
    """Fedora's jackuser ends at rtprio 70: below the 80 of a robot library's own thread."""
    thread = machine(highest)
    said = become_realtime()
    before = thread.policy, thread.priority
    with raised():
        inside = thread.priority
    assert (thread.policy, thread.priority) == before
    assert bool(said) is (highest < 80)
    assert (before[1], inside) == {0: (0, 0), 70: (PRIORITY, PRIORITY), 99: (PRIORITY, 80)}[highest]
