"""What a control tick computes when the arm is at the edge of its workspace.

    python bench/workspace_edge.py [--ticks 2000]

An enabled Panda is driven against box and table by random DROID actions. CPU time of the control
thread per whole tick: where the wanted velocity was allowed, and where others had to be looked for.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import replace

import numpy as np

from vla_sae_ros.robot.command import ArmCommand
from vla_sae_ros.robot.driver import Joints
from vla_sae_ros.robot.drivers.simulated_driver import SimulatedDriver
from vla_sae_ros.robot.droid import DroidActions
from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope
from vla_sae_ros.robot.envelope.place_guard import PlaceGuard
from vla_sae_ros.robot.loop.cycle import ControlCycle
from vla_sae_ros.robot.mailbox import CommandMailbox
from vla_sae_ros.robot.settings_file import load_robot

SETTINGS = replace(load_robot("panda"), lease=10.0)
AWAY = 40
"""Ticks for which a direction is kept: an arm that trembles about one place meets no edge."""


class Clock:
    """Stands until it is moved: the bench does not wait for the arm."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Counted:
    """Counts the velocities whose way the guard has looked at."""

    def __init__(self) -> None:
        self.looked = 0
        self._problems = PlaceGuard._problems

    def install(self) -> None:
        def counted(guard: PlaceGuard, motion: object, velocities: Joints) -> object:
            self.looked += len(velocities)
            return self._problems(guard, motion, velocities)  # type: ignore[arg-type]

        PlaceGuard._problems = counted  # type: ignore[method-assign, assignment]


def main() -> None:
    """Drive the arm and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=2000)
    ticks = parser.parse_args().ticks
    clock, counted, times = Clock(), Counted(), defaultdict(list)
    counted.install()
    driver = SimulatedDriver(SETTINGS.published, SETTINGS.reset_pose, clock)
    envelope = SafetyEnvelope(SETTINGS, DroidActions(), clock)
    mailbox = CommandMailbox()
    cycle = ControlCycle(driver, envelope, mailbox)
    cycle.connect()
    cycle.tick(0, clock.now)
    envelope.enable("bench", SETTINGS.lease)
    rng = np.random.default_rng(0)
    for tick in range(1, ticks + 1):
        if tick % AWAY == 1:
            direction = np.append(rng.uniform(-1, 1, 7), 0.0)
        clock.now += SETTINGS.period
        envelope.renew("bench", SETTINGS.lease)
        mailbox.put(ArmCommand(clock.now, direction))
        counted.looked, begin = 0, time.thread_time()
        outcome = cycle.tick(tick, clock.now)
        where = "at the edge" if counted.looked > 1 else "inside"
        times[where].append((time.thread_time() - begin) * 1e3)
        assert outcome.stop is None, outcome
    for where, spent in times.items():
        print(
            f"{where:12} {len(spent):5d} ticks: p50 {np.percentile(spent, 50):5.2f} ms, "
            f"p99 {np.percentile(spent, 99):5.2f} ms"
        )


if __name__ == "__main__":
    main()
