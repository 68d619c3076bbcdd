"""Bringing up a system for the time of one script, with fake nodes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

STEADY = """
import signal, threading
stop = threading.Event()
signal.signal(signal.SIGINT, lambda *_: stop.set())
print("ready", flush=True)
stop.wait(600)
"""
CRASHING = "import sys; sys.exit('the reason')"

# Processes die with the thread that starts them, so driving needs a main thread of its own.
PROGRAM = """
import sys
from pathlib import Path
from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.live.driving import drive
from vla_sae_ros.systems.simulation import NodeSpec, System

def script(client):
    {script}

system = System("fake", (NodeSpec("a", "a", "{fake}"),))
try:
    print("answer", drive(system, Path("log"), "test_driving", script))
except VlaSaeError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def run(tmp_path: Path):
    (tmp_path / "fake_steady.py").write_text(STEADY)
    (tmp_path / "fake_crashing.py").write_text(CRASHING)

    def start(fake: str, script: str) -> str:
        program = PROGRAM.format(fake=fake, script=script)
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.stdout + done.stderr

    return start


def test_the_scripts_answer_comes_back_and_the_system_is_stopped(run, tmp_path: Path) -> None:
    assert "answer 42" in run("fake_steady", "return 42")
    assert (tmp_path / "log" / "a.log").exists()


def test_a_node_that_ends_ends_the_script_that_waits_and_names_the_logs(run) -> None:
    said = run("fake_crashing", "client.wait_until_ready(timeout=500.0)")
    assert "SystemEnded the system ended before the script had; its logs are in log." in said


def test_what_the_script_raises_is_raised_on(run) -> None:
    said = run("fake_steady", "raise VlaSaeError('the script says no')")
    assert "VlaSaeError the script says no" in said
