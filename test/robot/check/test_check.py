"""`vla-sae robot check`, against the strict robot and against people who say no."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strict_arm import OwnThread, strict_robot

from vla_sae_ros import cli
from vla_sae_ros.robot.check import steps
from vla_sae_ros.robot.check.rehearsal import Rehearsal
from vla_sae_ros.robot.drivers.simulated_driver import SimulatedDriver
from vla_sae_ros.robot.settings import RobotSettings

ALL = ["connection", "limits", *(f"joint {j}" for j in range(1, 8)), "latency", "stop"]


def check(*arguments: str) -> int:
    """Run the command on a thread of its own: it becomes real-time."""
    thread = OwnThread()
    try:
        return thread(cli.main, ["robot", "check", *arguments])
    finally:
        thread.close()


def answer(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Let somebody answer; return the list that the questions go to."""
    questions: list[str] = []
    waiting = list(answers)

    def asked(question: str) -> str:
        questions.append(question)
        return waiting.pop(0)

    monkeypatch.setattr("builtins.input", asked)
    return questions


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "check.json"


def steps_of(out: Path) -> dict[str, dict[str, Any]]:
    return {step["step"]: step for step in json.loads(out.read_text())["steps"]}


@pytest.mark.slow
def test_the_strict_robot_passes_every_step(out: Path) -> None:
    with strict_robot(3) as robot:
        status = check("--host", robot.host, "--robot", "fr3", "--yes", "--out", str(out))
        assert robot.orders.order("status")["aborts"] == []
    found = steps_of(out)
    assert status == 0 and list(found) == ALL
    for joint in range(1, 8):
        step = found[f"joint {joint}"]
        assert np.sign(step["moved"]) == np.sign(step["asked"])
        assert 0 < step["latency"] < 2.0
    assert sum(found["latency"]["counts"].values()) == 7
    assert 0 < found["stop"]["time"] < 5 and found["stop"]["tool"] < 0.1


def test_nothing_moves_where_somebody_says_no(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = answer(monkeypatch, "")
    assert check("--simulated", "--out", str(out)) == 1
    assert len(questions) == 1 and "tool" in questions[0]
    assert list(steps_of(out)) == ["connection", "limits", "jogs"]
    assert "not taken" in capsys.readouterr().out


def test_single_steps_can_be_left_out(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "y", "n", "yes", *["n"] * 5, "n")
    assert check("--simulated", "--out", str(out)) == 1
    found = steps_of(out)
    assert [step for step, found in found.items() if found["ok"]] == [
        "connection",
        "limits",
        "joint 2",
        "latency",
    ]


def test_a_real_arm_is_not_driven_without_somebody_s_yes(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check("--host", "172.16.0.2", "--yes", "--out", str(out)) == 2
    assert "--yes with a robot" in capsys.readouterr().err
    assert not out.exists()


def test_a_robot_that_is_not_there_is_said_in_the_file(out: Path) -> None:
    assert check("--host", "127.250.250.250", "--no-hand", "--yes", "--out", str(out)) == 1
    record = json.loads(out.read_text())
    assert not record["ok"] and "127.250.250.250" in record["failure"]


def test_a_joint_that_moves_the_wrong_way_is_found(settings: RobotSettings) -> None:
    class Crossed(SimulatedDriver):
        """Its first joint's sensor is mounted upside down; the check has to see it."""

        def send(self, target: np.ndarray) -> None:
            mirrored = target.copy()
            mirrored[0] = -target[0]
            super().send(mirrored)

    with Rehearsal(Crossed(settings.published, settings.reset_pose), settings) as rehearsal:
        rehearsal.watch(0.1)
        finding = steps.jog(rehearsal, 0)
    assert not finding.ok
    assert np.sign(finding.values["moved"]) != np.sign(finding.values["asked"])
