from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from patience import PATIENCE

from vla_sae_ros.supervision.supervisor import Supervisor, SupervisorLimits
from vla_sae_ros.systems.simulation import NodeSpec, System

Fake = Callable[..., NodeSpec]
PATIENT = SupervisorLimits(interrupt=20.0, terminate=20.0, restarts=2, restart_delay=0.0)
"""A busy machine's nodes take long to end. One that is interrupted before its handler is there may
not hear it: where the shell of the tests ignores SIGINT, it ends by SIGTERM."""
QUICK = replace(PATIENT, interrupt=1.0, terminate=0.3)
"""For nodes that do not end."""


class Run:
    """A supervisor that runs on a thread, so that the test can watch it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.status: int | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.status = self.supervisor.run()

    def end(self) -> int | None:
        """Wait for the supervisor's own end; return its exit status."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the supervisor did not end"
        return self.status


@pytest.fixture
def run(tmp_path: Path, heard) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(*nodes: NodeSpec, namespace: str = "", limits: SupervisorLimits = PATIENT) -> Run:
        system = System("fake", nodes, namespace, "go on")
        runs.append(Run(Supervisor(system, tmp_path / "log", heard, limits)))
        return runs[-1]

    yield start
    for one in runs:
        one.supervisor.stop("the test is over")
        one.end()


def test_stopping_interrupts_every_node_and_returns_success(fake: Fake, run, heard) -> None:
    running = run(fake("steady", name="a"), fake("steady", name="b"))
    heard.wait_for("a", "ready")
    heard.wait_for("b", "ready")
    running.supervisor.stop()
    assert running.end() == 0
    assert ("a", "goodbye") in heard.lines and ("b", "goodbye") in heard.lines
    assert "SIGTERM" not in heard.text()


def test_a_node_gets_its_name_and_namespace(fake: Fake, run, heard) -> None:
    run(fake("steady", name="a"), namespace="left")
    assert heard.wait_for("a", "ready") == "ready --ros-args -r __node:=a -r __ns:=/left"


def test_a_node_with_a_python_of_its_own_is_run_by_it_and_the_others_are_not(
    fake: Fake, run, heard, tmp_path: Path
) -> None:
    other, used = tmp_path / "python", tmp_path / "used"
    other.write_text(f'#!/bin/sh\necho "$@" >> {used}\nexec {sys.executable} "$@"\n')
    other.chmod(0o755)
    run(replace(fake("steady", name="a"), python=str(other)), fake("steady", name="b"))
    assert "__node:=a" in heard.wait_for("a", "ready")
    assert "__node:=b" in heard.wait_for("b", "ready")
    (command,) = used.read_text().splitlines()
    assert "fake_steady" in command and command.endswith("__node:=a")


def test_a_dead_node_is_reported_and_brings_the_rest_down(fake: Fake, run, heard) -> None:
    running = run(fake("steady"), fake("crashing"))
    assert running.end() == 1
    heard.wait_for("supervisor", "crashing ended with status 1")
    heard.wait_for("crashing", "| the reason")
    heard.wait_for("supervisor", "crashing is needed: stopping everything")
    heard.wait_for("supervisor", "steady ")


def test_a_killed_node_is_reported_by_the_name_of_the_signal(fake: Fake, run, heard) -> None:
    running = run(fake("parent"))
    child = int(heard.wait_for("parent", "child").split()[1])
    os.killpg(os.getpgid(child), signal.SIGKILL)
    assert running.end() == 1
    heard.wait_for("supervisor", "parent was ended by SIGKILL")


def test_a_node_that_finishes_well_ends_the_system_well(fake: Fake, run, heard) -> None:
    assert run(fake("steady"), fake("finishing")).end() == 0
    assert "last lines" not in heard.text()


def test_an_ignored_node_leaves_the_rest_running(fake: Fake, run, heard) -> None:
    running = run(fake("crashing", "ignore"), fake("steady"))
    heard.wait_for("supervisor", "the other processes continue without crashing")
    heard.wait_for("steady", "ready")
    running.supervisor.stop()
    assert running.end() == 0


def test_a_node_is_restarted_up_to_its_limit(fake: Fake, run, heard) -> None:
    assert run(fake("crashing", "restart")).end() == 1
    heard.wait_for("supervisor", "starting crashing again", count=PATIENT.restarts)
    heard.wait_for("supervisor", "crashing was started again 2 times")
    assert heard.text().count("crashing ended with status 1") == PATIENT.restarts + 1


def test_a_node_that_refused_its_configuration_is_not_restarted(fake: Fake, run, heard) -> None:
    assert run(fake("refusing", "restart")).end() == 1
    heard.wait_for("supervisor", "refusing refused its configuration")
    assert "again" not in heard.text()
    assert heard.text().count("wrong folder") == 1, "what it refused is said once"


def test_a_stubborn_node_is_terminated_then_killed_and_each_is_said(fake: Fake, run, heard) -> None:
    running = run(fake("stubborn"), fake("steady"), limits=QUICK)
    heard.wait_for("stubborn", "ready")
    running.supervisor.stop()
    assert running.end() == 1
    said = heard.text()
    steps = [
        "SIGINT to stubborn",
        "SIGTERM to stubborn",
        "SIGKILL to stubborn",
        "stubborn was ended by SIGKILL",
    ]
    assert [said.find(step) for step in steps] == sorted(said.find(step) for step in steps)
    assert all(step in said for step in steps)


def test_no_limit_of_the_standard_ones_lets_a_stop_take_five_seconds() -> None:
    limits = SupervisorLimits()
    assert limits.interrupt + limits.terminate + limits.kill < 5.0


def test_the_system_is_ready_once_every_node_that_says_so_works(fake: Fake, run, heard) -> None:
    gate = fake("stubborn", name="b", ready="never said")
    running = run(
        fake("steady", name="a", ready="ready"), gate, fake("steady", name="c"), limits=QUICK
    )
    for name in "abc":
        heard.wait_for(name, "ready")
    running.supervisor.stop()
    running.end()
    assert "system ready" not in heard.text()


def test_the_system_is_ready_again_after_a_restart_and_says_what_to_do(
    fake: Fake, run, heard
) -> None:
    run(fake("twice", "restart", ready="works"))
    assert heard.wait_for("supervisor", "system ready") == "system ready; go on"
    heard.wait_for("supervisor", "starting twice again")
    heard.wait_for("supervisor", "system ready; go on", count=2)


def test_children_of_a_node_end_with_it(fake: Fake, run, heard, is_gone) -> None:
    running = run(fake("parent"))
    child = int(heard.wait_for("parent", "child").split()[1])
    heard.wait_for("parent", "deaf")
    running.supervisor.stop()
    running.end()
    assert is_gone(child)


def test_every_node_has_a_log_file_with_all_of_its_lines(fake: Fake, run, tmp_path: Path) -> None:
    run(fake("finishing")).end()
    assert (tmp_path / "log" / "finishing.log").read_text() == "done\n"


def test_no_zombie_is_left(fake: Fake, run) -> None:
    run(fake("crashing", "restart"), fake("crashing", "ignore", name="other")).end()
    # Other tests of this process may have left children that live, such as a resource tracker.
    states = [child.status() for child in psutil.Process().children()]
    assert psutil.STATUS_ZOMBIE not in states


SUPERVISE_TWO = """
import sys
from pathlib import Path
from vla_sae_ros.supervision.supervisor import Supervisor, SupervisorLimits
from vla_sae_ros.systems.simulation import NodeSpec, System
nodes = (NodeSpec("a", "", "fake_steady"), NodeSpec("b", "", sys.argv[2]))
limits = SupervisorLimits(interrupt=float(sys.argv[3]))
sys.exit(Supervisor(System("two", nodes), Path(sys.argv[1]), limits=limits).run())
"""


@pytest.fixture
def terminal(fakes: Path, tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Return a function that runs a supervisor of two nodes as a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(second: str, limit: float = PATIENCE) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISE_TWO, str(tmp_path / "log"), second, str(limit)],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        ready: set[str] = set()
        assert process.stdout is not None
        while ready != {"a", "b"}:
            line = process.stdout.readline()
            assert line, "the supervisor ended early"
            if "ready" in line:
                ready.add(line.split()[1])
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def children_of(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_supervisor_stops_everything(terminal, is_gone, number) -> None:
    process = terminal("fake_steady")
    nodes = children_of(process.pid)
    process.send_signal(number)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert output.count("goodbye") == 2
    assert len(nodes) == 2 and all(is_gone(pid) for pid in nodes)


def test_a_stubborn_system_is_gone_after_ctrl_c(terminal, is_gone) -> None:
    process = terminal("fake_stubborn", QUICK.interrupt)
    nodes = children_of(process.pid)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert all(is_gone(pid) for pid in nodes)


def test_killing_the_supervisor_leaves_no_orphan(terminal, is_gone) -> None:
    process = terminal("fake_stubborn")
    nodes = children_of(process.pid)
    process.kill()
    assert len(nodes) == 2 and all(is_gone(pid) for pid in nodes)
