"""The gripper's thread."""

from __future__ import annotations

import math
import threading

import pytest
from patience import PATIENCE

from vla_sae_ros.robot.drivers.gripper import GripperThread


class SlowGripper:
    """Blocks in every move until it is let go."""

    def __init__(self) -> None:
        self.moves: list[float] = []
        self.began = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.width = 1.0
        self.fails = False
        self.looks = threading.Semaphore(0)
        self.absent = False

    def move(self, closing: float) -> None:
        self.moves.append(closing)
        self.began.release()
        assert self.go_on.acquire(timeout=PATIENCE)
        if self.fails:
            raise OSError("hand lost")
        self.width = 1.0 - closing

    def opening(self) -> float:
        self.looks.release()
        if self.absent:
            raise OSError("no hand there")
        return self.width

    def close(self) -> None:
        self.moves.append(math.inf)


def test_requests_never_block_and_the_latest_wins() -> None:
    slow = SlowGripper()
    thread = GripperThread(slow)
    thread.request(1.0)
    assert slow.began.acquire(timeout=PATIENCE)
    for closing in (0.0, 0.5, 0.3):
        thread.request(closing)
    assert thread.replaced == 2
    slow.go_on.release()
    assert slow.began.acquire(timeout=PATIENCE)
    slow.go_on.release()
    thread.close()
    assert slow.moves == [1.0, 0.3, math.inf]
    assert thread.opening == 0.7


def test_the_same_request_again_is_none() -> None:
    slow = SlowGripper()
    slow.go_on.release()
    thread = GripperThread(slow)
    for _ in range(20):
        thread.request(1.0)
    assert slow.began.acquire(timeout=PATIENCE)
    thread.close()
    assert slow.moves == [1.0, math.inf] and thread.replaced == 0


def test_a_failing_gripper_is_counted_and_tried_again() -> None:
    slow = SlowGripper()
    slow.fails = True
    thread = GripperThread(slow)
    for closing in (1.0, 0.0):
        thread.request(closing)
        assert slow.began.acquire(timeout=PATIENCE)
        slow.go_on.release()
    thread.close()
    assert thread.failed == 2 and "hand lost" in thread.last_error


def test_a_stop_forgets_what_waits_and_the_next_request_counts_again() -> None:
    slow = SlowGripper()
    thread = GripperThread(slow)
    thread.request(1.0)
    assert slow.began.acquire(timeout=PATIENCE)
    thread.request(0.0)
    thread.stop()
    thread.request(1.0)
    slow.go_on.release()
    assert slow.began.acquire(timeout=PATIENCE)
    slow.go_on.release()
    thread.close()
    assert slow.moves == [1.0, 1.0, math.inf]


def test_a_gripper_that_is_switched_on_later_is_found_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    slow = SlowGripper()
    slow.absent = True
    thread = GripperThread(slow, retry=0.01)
    for _ in range(5):
        assert slow.looks.acquire(timeout=PATIENCE)
    assert math.isnan(thread.opening)
    slow.absent = False
    while math.isnan(thread.opening):
        assert slow.looks.acquire(timeout=PATIENCE)
    thread.close()
    assert thread.opening == 1.0 and thread.failed >= 4
    assert caplog.text.count("no hand there") == 1


def test_the_opening_of_a_gripper_that_was_lost_is_unknown() -> None:
    slow = SlowGripper()
    thread = GripperThread(slow, retry=PATIENCE)
    assert slow.looks.acquire(timeout=PATIENCE)
    slow.absent = True
    slow.go_on.release()
    thread.request(1.0)
    assert slow.looks.acquire(timeout=PATIENCE)
    thread.close()
    assert math.isnan(thread.opening)
