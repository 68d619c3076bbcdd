"""How punctual the control thread is while everything else in its process and machine misbehaves.

    python bench/control_loop.py [--seconds 20] [--strict]

Every row drives an enabled arm at 15 Hz with DROID actions. Late: how long after its time a tick
began. `--strict` drives a strict simulated FR3 over libfranka's protocol instead of numbers, and
says what the robot thought of it: its own rate, the longest run of missed commands, aborts.
"""

from __future__ import annotations

import argparse
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np

from vla_sae_ros.robot.admission import EnableRefused
from vla_sae_ros.robot.command import ArmCommand
from vla_sae_ros.robot.driver import Driver, RobotReading
from vla_sae_ros.robot.drivers.franky_driver import FrankyDriver
from vla_sae_ros.robot.drivers.simulated_driver import SimulatedDriver
from vla_sae_ros.robot.droid import DroidActions
from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope
from vla_sae_ros.robot.loop.loop import ControlLoop
from vla_sae_ros.robot.report import Report
from vla_sae_ros.robot.settings_file import load_robot
from vla_sae_ros.robot.strict_sim.process import StrictRobotProcess

SETTINGS = replace(load_robot("fr3"), lease=10.0)  # the bench itself is no careful operator
HOST = "127.77.0.1"


class Waving:
    """A source of smooth actions that stay about where they began."""

    def __init__(self) -> None:
        self._ticks = 0

    def next(self, reading: RobotReading, now: float) -> ArmCommand:
        """Return the next action; made here, so that its memory is garbage as in life."""
        self._ticks += 1
        action = np.zeros(8)
        action[:7] = 0.3 * np.sin(self._ticks / 15 + np.arange(7))
        return ArmCommand(now, action, 1, "bench", 1, self._ticks)


def spin(until: Callable[[], bool]) -> None:
    """Burn a core."""
    while not until():
        sum(range(2000))


@contextmanager
def threads(work: Callable[[Callable[[], bool]], None], count: int) -> Iterator[None]:
    """Run work on threads of this process."""
    end = threading.Event()
    running = [threading.Thread(target=work, args=(end.is_set,)) for _ in range(count)]
    for thread in running:
        thread.start()
    yield
    end.set()
    for thread in running:
        thread.join()


@contextmanager
def processes(count: int) -> Iterator[None]:
    """Burn cores in other processes."""
    context = multiprocessing.get_context("spawn")
    running = [context.Process(target=spin, args=(bool,), daemon=True) for _ in range(count)]
    for process in running:
        process.start()
    yield
    for process in running:
        process.kill()
        process.join()


def litter(until: Callable[[], bool]) -> None:
    """Make cyclic garbage, some of it old by the time it is let go of."""
    kept: list[object] = []
    while not until():
        for _ in range(200):
            one: list[object] = []
            one.append([one, {"a": one}])
            kept.append(one)
        if len(kept) > 20_000:
            kept.clear()
        time.sleep(0.001)


@contextmanager
def nothing() -> Iterator[None]:
    """Leave the machine alone."""
    yield


TROUBLES: dict[str, Callable[[], object]] = {
    "nothing else": nothing,
    "2 busy Python threads": lambda: threads(spin, 2),
    "0.6 million objects of cyclic garbage a second": lambda: threads(litter, 1),
    "4 busy processes": lambda: processes(4),
}


def drive(driver: Driver, seconds: float, sink: Callable[[Report], None]) -> str:
    """Drive for a while; return the row's numbers."""
    envelope = SafetyEnvelope(SETTINGS, DroidActions(), time.monotonic)
    loop = ControlLoop(driver, envelope, Waving(), "fr3", SETTINGS.period, [sink])
    loop.start()
    while loop.state().ticks < 3:
        time.sleep(0.05)
    loop.enable("bench", SETTINGS.lease)
    until = time.monotonic() + seconds
    while time.monotonic() < until and loop.state().envelope.owner:
        time.sleep(0.2)
        with suppress(EnableRefused):  # stopped meanwhile: the row says by what
            loop.renew("bench", SETTINGS.lease)
    late = [1e3 * loop._pacer.late_percentile(p) for p in (50, 99, 100)]
    state = loop.state()
    stopped = state.envelope.reason or ""
    loop.close()
    return (
        f"{state.ticks:6d} | {late[0]:6.2f} | {late[1]:6.2f} | {late[2]:6.2f} | "
        f"{state.skipped_ticks:3d} | {state.dropped_reports:4d} | {stopped}"
    )


def main() -> None:
    """Print one row per trouble."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--strict", action="store_true")
    given = parser.parse_args()
    print("trouble | ticks | late p50 ms | p99 | max | skipped | reports dropped | stopped by")
    rows = [(name, trouble, lambda _: None) for name, trouble in TROUBLES.items()]
    rows.append(("a sink that takes 0.2 s a report", nothing, lambda _: time.sleep(0.2)))
    for name, trouble, sink in rows:
        if given.strict:
            with StrictRobotProcess(HOST) as robot, trouble():
                numbers = drive(FrankyDriver(HOST, SETTINGS), given.seconds, sink)
                said = robot.orders.order("status")
            print(
                f"{name} | {numbers} | robot: {said['rate']:.0f} Hz, slipped "
                f"{said['slipped']:.3f} s, missed in a row {said['missed_in_a_row']}, "
                f"aborts {said['aborts']}",
                flush=True,
            )
        else:
            arm = SimulatedDriver(SETTINGS.published, SETTINGS.reset_pose)
            with trouble():
                print(f"{name} | {drive(arm, given.seconds, sink)}", flush=True)


if __name__ == "__main__":
    main()
