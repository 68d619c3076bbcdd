"""A gripper behind control_msgs/GripperCommand, which no wheel has: a fake server at its client."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from action_msgs.msg import GoalStatus

from vla_sae_ros.nodes.robot import gripper_action
from vla_sae_ros.nodes.robot.gripper_action import LOST, RETRY, UNFINISHED, ActionGripper, Stroke

FRANKA, ROBOTIQ = Stroke(open=0.04, closed=0.0), Stroke(open=0.0, closed=0.8)


class FakeHandle:
    """A goal that the server has taken."""

    accepted = True

    def __init__(self) -> None:
        self.result: Future[Any] = Future()
        self.cancelled = False

    def get_result_async(self) -> Future[Any]:
        return self.result

    def cancel_goal_async(self) -> None:
        self.cancelled = True

    def ends(self, status: int, stalled: bool = False) -> None:
        result = SimpleNamespace(stalled=stalled, reached_goal=not stalled)
        self.result.set_result(SimpleNamespace(status=status, result=result))


class FakeServer:
    """The action client's other end: answers goals when the test says so."""

    def __init__(self) -> None:
        self.goals: list[float] = []
        self.answers: list[Future[Any]] = []
        self.ready = True

    def client(self, *_: object) -> FakeServer:
        return self

    def server_is_ready(self) -> bool:
        return self.ready

    def send_goal_async(self, goal: Any) -> Future[Any]:
        self.goals.append(goal.command.position)
        self.answers.append(Future())
        return self.answers[-1]

    def accepts(self) -> FakeHandle:
        handle = FakeHandle()
        self.answers[-1].set_result(handle)
        return handle

    def refuses(self) -> None:
        self.answers[-1].set_result(SimpleNamespace(accepted=False))


class Hand:
    """A gripper, asked for the same at every tick as a policy does."""

    def __init__(self, server: FakeServer, stroke: Stroke) -> None:
        self.now, self.server = 100.0, server
        self.gripper = ActionGripper(None, "hand", stroke, clock=lambda: self.now)  # type: ignore[arg-type]

    def ask(self, closing: float, seconds: float = 0.0) -> int:
        """Ask at 15 Hz for some time; return how many goals have been sent so far."""
        for _ in range(max(1, round(15 * seconds))):
            self.gripper.move(closing)
            self.now += 1 / 15
        return len(self.server.goals)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    action = ModuleType("control_msgs.action")
    command = type(
        "GripperCommand",
        (),
        {"Goal": lambda: SimpleNamespace(command=SimpleNamespace(position=0.0, max_effort=0.0))},
    )
    action.GripperCommand = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "control_msgs", ModuleType("control_msgs"))
    monkeypatch.setitem(sys.modules, "control_msgs.action", action)
    made = FakeServer()
    monkeypatch.setattr(gripper_action, "ActionClient", made.client)
    return made


@pytest.fixture
def hand(server: FakeServer) -> Hand:
    return Hand(server, FRANKA)


def test_sense_and_range_are_the_grippers(server: FakeServer) -> None:
    for stroke, positions in ((FRANKA, [0.0, 0.04]), (ROBOTIQ, [0.8, 0.0])):
        server.goals.clear()
        hand = Hand(server, stroke)
        hand.ask(1.0)
        hand.ask(0.0)
        assert server.goals == pytest.approx(positions)
        assert stroke.opening(stroke.closed) == 0.0 and stroke.opening(stroke.open) == 1.0


def test_a_goal_that_is_reached_is_sent_once(server: FakeServer, hand: Hand) -> None:
    hand.ask(1.0)
    server.accepts().ends(GoalStatus.STATUS_SUCCEEDED)
    assert hand.ask(1.0, seconds=60) == 1 and hand.gripper.failed == 0


def test_a_goal_that_is_refused_is_sent_again_when_it_is_asked_for_again(
    server: FakeServer, hand: Hand
) -> None:
    hand.ask(1.0)
    server.refuses()
    assert hand.ask(1.0, seconds=RETRY - 0.2) == 1, "not at every tick"
    assert hand.ask(1.0, seconds=0.4) == 2
    assert hand.gripper.failed == 1


def test_a_goal_that_is_broken_off_is_sent_again(server: FakeServer, hand: Hand) -> None:
    hand.ask(1.0)
    server.accepts().ends(GoalStatus.STATUS_ABORTED)
    assert hand.ask(1.0, seconds=RETRY + 0.2) == 2


def test_a_goal_without_an_answer_is_sent_again(server: FakeServer, hand: Hand) -> None:
    assert hand.ask(1.0, seconds=LOST - 0.2) == 1
    assert hand.ask(1.0, seconds=0.4) == 2
    late = server.answers[0]
    late.set_result(FakeHandle())
    assert hand.ask(1.0, seconds=LOST - 0.6) == 2, "an answer to the lost goal changes nothing"


def test_a_goal_whose_server_ends_after_taking_it_is_sent_again(
    server: FakeServer, hand: Hand
) -> None:
    hand.ask(1.0)
    server.accepts()
    assert hand.ask(1.0, seconds=UNFINISHED - 0.5) == 1
    assert hand.ask(1.0, seconds=1.0) == 2
    assert hand.gripper.failed == 1


def test_a_grasp_that_stalls_holds_something_and_is_left_alone(
    server: FakeServer, hand: Hand
) -> None:
    hand.ask(1.0)
    server.accepts().ends(GoalStatus.STATUS_ABORTED, stalled=True)
    assert hand.ask(1.0, seconds=30) == 1 and hand.gripper.failed == 0
    hand.ask(0.0)
    server.accepts().ends(GoalStatus.STATUS_ABORTED, stalled=True)
    assert hand.ask(0.0, seconds=RETRY + 0.2) == 3, "one that does not open is tried again"


def test_the_first_request_is_not_lost_when_the_server_comes_later(
    server: FakeServer, hand: Hand
) -> None:
    server.ready = False
    assert hand.ask(1.0, seconds=2) == 0
    server.ready = True
    assert hand.ask(1.0) == 1


def test_a_stop_breaks_a_goal_off_and_the_same_request_counts_again(
    server: FakeServer, hand: Hand
) -> None:
    hand.ask(1.0)
    handle = server.accepts()
    hand.gripper.stop()
    assert handle.cancelled
    handle.ends(GoalStatus.STATUS_CANCELED)
    assert hand.ask(1.0) == 2 and hand.gripper.failed == 0
    server.accepts().ends(GoalStatus.STATUS_SUCCEEDED)
    hand.gripper.stop()
    assert not handle.result.cancelled(), "one that is reached keeps what it holds"


def test_a_goal_that_a_stop_overtakes_on_its_way_is_broken_off(
    server: FakeServer, hand: Hand
) -> None:
    hand.ask(1.0)
    hand.gripper.stop()
    assert server.accepts().cancelled
