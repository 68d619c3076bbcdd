"""A robot that cannot be reached is warned of, unless it is still starting."""

from __future__ import annotations

from vla_sae_ros.nodes.robot.missing_robot import MissingRobot
from vla_sae_ros.robot.loop.loop import NO_ROBOT

REFUSED, SILENT = f"{NO_ROBOT}: connection refused", f"{NO_ROBOT}: no answer"


def test_each_reason_is_said_once_when_it_comes() -> None:
    said: list[str] = []
    missing = MissingRobot(0.0, lambda: 5.0, said.append)
    for event in ("enable by panel", REFUSED, REFUSED, SILENT, SILENT, REFUSED, "stop by panel"):
        missing.note(event)
    assert said == [REFUSED, SILENT, REFUSED]


def test_a_robot_that_starts_with_the_bridge_is_not_missed_before_its_time() -> None:
    said: list[str] = []
    now = [100.0]
    missing = MissingRobot(60.0, lambda: now[0], said.append)
    for now[0] in (100.0, 120.0, 159.0):
        missing.note(REFUSED)
    assert said == []
    now[0] = 161.0
    missing.note(REFUSED)
    assert said == [REFUSED], "it is still not there: that is a failure"
