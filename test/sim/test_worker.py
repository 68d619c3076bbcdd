"""The thread that owns a simulator."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest
from patience import PATIENCE

from vla_sae_ros.sim.worker import SimulationThread, SimulatorLate


def test_calls_run_in_order_on_one_thread_that_is_not_the_callers() -> None:
    worker = SimulationThread()
    names = [worker.call("look", threading.get_ident, PATIENCE) for _ in range(3)]
    worker.close()
    assert len(set(names)) == 1 and names[0] != threading.get_ident()


def test_a_call_that_does_not_come_back_becomes_an_error_and_what_waits_behind_it_is_left_out() -> (
    None
):
    worker, release, steps = SimulationThread(), threading.Event(), []
    try:
        with pytest.raises(SimulatorLate, match=r"did not reset within 0\.05 s"):
            worker.call("reset", release.wait, 0.05)
        with pytest.raises(
            SimulatorLate, match=r"Cannot step: .*busy with an earlier call to reset"
        ):
            worker.call("step", lambda: steps.append("too late"), 0.05)
    finally:
        release.set()
        assert worker.call("look", lambda: steps, PATIENCE) == []
        worker.close()


def test_a_call_that_ends_late_condemns_nobody() -> None:
    worker, release = SimulationThread(), threading.Event()
    with pytest.raises(SimulatorLate):
        worker.call("reset", release.wait, 0.05)
    release.set()
    assert worker.call("step", lambda: "stepped", PATIENCE) == "stepped"
    worker.close()


def test_a_call_waits_for_a_late_one_within_its_own_limit() -> None:
    worker, release, order = SimulationThread(), threading.Event(), []

    def late() -> None:
        release.wait()
        order.append("late")

    with pytest.raises(SimulatorLate):
        worker.call("step", late, 0.05)
    threading.Timer(0.1, release.set).start()
    worker.call("reset", lambda: order.append("next"), PATIENCE)
    assert order == ["late", "next"]
    worker.close()


def test_an_exception_reaches_the_caller_and_the_thread_lives_on() -> None:
    worker = SimulationThread()

    def fail() -> None:
        raise TimeoutError("the simulator's own")

    with pytest.raises(TimeoutError, match="own"):
        worker.call("fail", fail, PATIENCE)
    assert worker.call("answer", lambda: 42, PATIENCE) == 42
    worker.close()


def test_a_process_that_was_suspended_is_not_taken_for_a_stuck_simulator() -> None:
    limit = 4.0  # long enough to be suspended in, on a busy machine
    code = f"""
import sys
from vla_sae_ros.sim.worker import SimulationThread

def answer():
    print("inside", flush=True)
    return sys.stdin.readline()

print(SimulationThread().call("step", answer, {limit}), flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin and child.stdout
        assert child.stdout.readline() == "inside\n"
        child.send_signal(signal.SIGSTOP)
        time.sleep(1.25 * limit)  # what is tested is that this time does not count
        child.stdin.write("stepped\n")
        child.stdin.flush()
        child.send_signal(signal.SIGCONT)
        assert child.stdout.readline() == "stepped\n"
