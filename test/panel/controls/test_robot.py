"""The panel's robot buttons against the real bridge over a simulated arm."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import numpy as np
import pytest
from robot_bench import RobotBench, chunk_for

from vla_sae_ros.msg import RobotState
from vla_sae_ros.panel.controls.episode import EpisodePane
from vla_sae_ros.panel.ros import commands
from vla_sae_ros.panel.ros.ros_thread import RosThread
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import EpisodeGoal
from vla_sae_ros.panel.views.view import Context


class Bench:
    """The bridge, and a panel's episode view refreshed as the window does it."""

    def __init__(self, qtbot) -> None:
        self._qtbot = qtbot
        self.robot = RobotBench(domain=int(os.environ.get("ROS_DOMAIN_ID", "0")), beating=False)
        self.ros = RosThread()
        self.store = Store()
        context = Context(self.store, self.ros.client, lambda name: None, lambda text, bad: None)
        self.pane = EpisodePane(context)
        qtbot.addWidget(self.pane)
        self.alive = True

    def until(self, condition) -> None:
        def look() -> bool:
            if self.alive:
                self.ros.client.commands.gui_alive()
            self.store.take(self.ros.client.incoming)
            self.pane.refresh(self.store, time.monotonic())
            return bool(condition())

        self._qtbot.waitUntil(look)

    def told(self, words: str) -> bool:
        return any(words in outcome.text for outcome in self.ros.client.incoming.outcomes.take())

    def status(self, status: int) -> None:
        self.until(lambda: self.robot.robot[-1].status == status)

    def close(self) -> None:
        self.ros.close()
        self.robot.close()


@pytest.fixture
def bench(qtbot, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(commands, "ROBOT_LEASE", 2.0)  # these tests are not about a busy machine
    made = Bench(qtbot)
    made.until(lambda: not made.pane.robot.isHidden() and made.store.robot is not None)
    yield made
    made.close()


def test_enable_keeps_the_arm_enabled_hold_stop_and_recover_do_what_they_say(bench):
    bench.pane.robot.enable.click()
    bench.status(RobotState.ENABLED)
    first = bench.robot.commands[-1].tick
    bench.until(lambda: bench.robot.commands[-1].tick > first + 40)  # longer than one lease
    assert bench.robot.robot[-1].status == RobotState.ENABLED
    assert bench.robot.robot[-1].owner == bench.ros.client.owner
    bench.until(lambda: "ENABLED" in bench.pane.robot.state.text())
    bench.pane.robot.hold.click()
    bench.status(RobotState.DISABLED)
    bench.pane.robot.enable.click()
    bench.status(RobotState.ENABLED)
    bench.ros.client.commands.stop_bridge()
    bench.status(RobotState.STOPPED)
    bench.until(lambda: "operator_stop" in bench.pane.robot.state.text())
    bench.pane.robot.recover.click()
    bench.status(RobotState.DISABLED)


def test_a_panel_that_freezes_stops_the_arm(bench):
    bench.pane.robot.enable.click()
    bench.status(RobotState.ENABLED)
    bench.alive = False
    bench.status(RobotState.STOPPED)
    assert bench.robot.robot[-1].reason == "lease_expired"


def test_an_episode_started_from_the_form_moves_the_arm(bench):
    row = np.zeros((15, 8), np.float32)
    row[:, 0] = 0.5
    bench.robot.answer = lambda request: [chunk_for(request, row)]
    bench.pane.robot.enable.click()
    bench.status(RobotState.ENABLED)
    bench.until(lambda: bench.pane.run.isEnabled())
    bench.pane.form.instruction.setText("wave")
    bench.pane.form.max_steps.setValue(10)
    assert bench.pane.form.goal() == EpisodeGoal("", -1, -1, 0, "wave", 10)
    bench.pane.start()
    bench.until(lambda: bench.store.episode and "step limit" in bench.store.episode.detail)
    bench.until(lambda: bench.robot.executed and bench.robot.executed[-1].step == 9)


def test_the_panel_takes_over_moves_the_arm_and_hands_back(bench):
    bench.robot.answer = lambda request: [chunk_for(request, np.zeros((15, 8), np.float32))]
    commands_ = bench.ros.client.commands
    commands_.take_over(True)
    bench.until(lambda: bench.told("enabled arm"))
    assert not commands_._holds_robot
    bench.pane.robot.enable.click()
    bench.status(RobotState.ENABLED)
    commands_.take_over(True)
    bench.until(lambda: bench.store.takeover and bench.store.takeover.taken_over)
    assert bench.store.takeover.owner == bench.ros.client.owner
    begin = bench.robot.commands[-1].tick

    def moved() -> bool:
        commands_.move_by_hand((0.0, 0.0, 0.06))
        by_person = [c for c in bench.robot.commands if c.source == 1 and len(c.requested)]
        return len(by_person) > 20

    bench.until(moved)
    assert bench.robot.commands[-1].tick > begin
    bench.until(lambda: bench.store.takeover.silent)  # nobody says anything any more
    commands_.take_over(False)
    bench.until(lambda: not bench.store.takeover.taken_over)
    assert bench.robot.robot[-1].status == RobotState.ENABLED
    bench.until(lambda: bench.robot.node.count_publishers("teleop/twist") == 0)
