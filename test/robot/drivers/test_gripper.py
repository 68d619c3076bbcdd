"""The gripper's thread."""

from __future__ import annotations

import math
import threading

import pytest
from patience import PATIENCE, eventually

from vla_sae_ros.robot.drivers.gripper import STUCK, GripperThread


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


class Hand:
    """Refuses what it is told to, and never blocks long."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.width = refusals, 1.0
        self.moves: list[float] = []
        self.moved = threading.Semaphore(0)

    def move(self, closing: float) -> None:
        self.moves.append(closing)
        self.moved.release()
        if self.refusals:
            self.refusals -= 1
            raise OSError("Command failed!")
        self.width = 1.0 - closing

    def opening(self) -> float:
        return self.width

    def close(self) -> None:
        """Nothing to disconnect from."""


def test_a_grasp_that_failed_is_tried_again_when_it_is_asked_for_again() -> None:
    now = [50.0]
    hand = Hand(refusals=2)
    thread = GripperThread(hand, retry=1.0, clock=lambda: now[0])
    for attempt in range(3):
        eventually(lambda: thread.request(1.0) or hand.moved.acquire(blocking=False))
        if attempt < 2:
            eventually(lambda attempt=attempt: thread.failed == attempt + 1)
        for _ in range(5):
            thread.request(1.0)
        assert len(hand.moves) == attempt + 1, "not at every tick"
        now[0] += 1.01
    eventually(lambda: thread.opening == 0.0)
    for _ in range(5):
        thread.request(1.0)
    thread.close()
    assert hand.moves == [1.0] * 3 and thread.failed == 2


class Jammed:
    """Its fingers do not move; a move ends when it is broken off."""

    def __init__(self) -> None:
        self.began, self.broken_off = threading.Semaphore(0), threading.Semaphore(0)
        self.moves = 0

    def move(self, closing: float) -> None:
        self.moves += 1
        self.began.release()
        assert self.broken_off.acquire(timeout=PATIENCE)
        raise OSError("Command aborted")

    def opening(self) -> float:
        return 0.6

    def stop(self) -> None:
        self.broken_off.release()

    def close(self) -> None:
        """Nothing to disconnect from."""


def test_a_move_that_gets_nowhere_is_broken_off_and_tried_again_when_asked() -> None:
    now = [50.0]
    jammed = Jammed()
    thread = GripperThread(jammed, retry=1.0, clock=lambda: now[0])
    thread.request(1.0)
    assert jammed.began.acquire(timeout=PATIENCE)
    thread.request(1.0)
    assert jammed.moves == 1
    now[0] += STUCK + 0.1
    eventually(lambda: thread.failed >= 2)
    now[0] += 1.1
    eventually(lambda: thread.request(1.0) or jammed.began.acquire(blocking=False))
    thread.stop()
    thread.close()
    assert jammed.moves == 2


def test_the_opening_is_told_while_a_move_blocks() -> None:
    slow = SlowGripper()
    thread = GripperThread(slow)
    thread.request(1.0)
    assert slow.began.acquire(timeout=PATIENCE)
    slow.width = 0.4
    eventually(lambda: thread.opening == 0.4)
    slow.go_on.release()
    thread.close()
