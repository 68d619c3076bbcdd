"""How well a robot's bridge keeps its rate, on a strict simulated Franka, under load.

    python bench/robot_loop.py [--minutes 10] [--busy 1]

The arm waves under a policy's chunks all the while; `--busy` processes compute beside it. Printed:
ticks, late and skipped ones, how late they began, aborts of the robot's own control loop (20
commands missed in a row), stops. After a stop it recovers and goes on until the minutes are full.

Robot and bridge share this machine's cores. Where a core itself stands still for 20 ms, as those of
virtual machines do, the robot misses its commands whatever the software does: probes above all
else tell such stalls, and a stop for a lost or late message is `explained` when cores stood still
for at least 15 ms in the half second before it. Exit status 1: a stop that is not explained.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rclpy
from robot_rig import Rig
from stalls import StallProbes

from vla_sae_ros.core.errors import SimulationError
from vla_sae_ros.msg import RobotState
from vla_sae_ros.wire.conversions import to_ns

PERIOD = 1 / 15  # [s]
BEFORE = 0.5  # [s] between a stall and the stop that a subscriber hears of
ENOUGH = 0.015  # [s] of stalls in that time; the robot's patience is 0.02
SHARED = ("comm_loss", "stale_reading")
"""Reasons that are about robot and bridge not hearing each other in time."""


@dataclass
class Counts:
    """What came of all the stretches between two stops.

    stamps: times of the ticks of each stretch [s]. stops: reason, detail, stall before it [ms].
    """

    stamps: list[np.ndarray] = field(default_factory=list)
    acted: int = 0
    late: int = 0
    aborts: int = 0
    missed: int = 0
    missed_in_a_row: int = 0
    stops: list[tuple[str, str, float]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Return how long the arm was driven."""
        return sum(float(each[-1] - each[0]) for each in self.stamps)

    @property
    def unexplained(self) -> int:
        """Return the stops that no stall of a core explains."""
        return sum(reason not in SHARED or stall < 1000 * ENOUGH for reason, _, stall in self.stops)


def burn() -> None:
    """Compute until the end."""
    values = np.random.default_rng(0).normal(size=(300, 300))
    while True:
        values = np.tanh(values @ values.T / 300)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--busy", type=int, default=1, help="processes that compute beside it")
    parser.add_argument("--out", type=Path, help="file for the numbers as JSON")
    args = parser.parse_args()
    load = [
        multiprocessing.get_context("spawn").Process(target=burn, daemon=True)
        for _ in range(args.busy)
    ]
    rig, counts = Rig(), Counts()
    try:
        for process in load:
            process.start()
        with StallProbes() as probes:
            while counts.seconds < args.minutes * 60:
                rig.ready()
                drive(rig, args.minutes * 60 - counts.seconds, counts, probes)
            numbers = summary(counts, probes)
    finally:
        for process in load:
            process.kill()
        rig.close()
        rclpy.try_shutdown()
    text = json.dumps(numbers, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")
    return int(counts.unexplained > 0)


def drive(rig: Rig, seconds: float, counts: Counts, probes: StallProbes) -> None:
    """Let the arm wave until the time is over or it stops."""
    assert rig.robot is not None
    before = rig.robot.orders.order("status")
    first, rig.commands[:] = rig.state, []
    end = time.monotonic() + seconds
    while time.monotonic() < end and rig.state.status == RobotState.ENABLED:
        time.sleep(0.2)
    if rig.state.status == RobotState.STOPPED:
        stall = 1000 * probes.within(rig.stopped_at - BEFORE, rig.stopped_at)
        counts.stops.append((rig.state.reason, rig.state.detail, round(stall, 1)))
    after, commands = rig.robot.orders.order("status"), list(rig.commands)
    counts.stamps.append(np.array([to_ns(each.header.stamp) for each in commands]) / 1e9)
    counts.acted += sum(bool(len(each.requested)) for each in commands)
    counts.late += rig.state.late_ticks - first.late_ticks
    counts.aborts += len(after["aborts"]) - len(before["aborts"])
    counts.missed += after["missed"] - before["missed"]
    counts.missed_in_a_row = max(counts.missed_in_a_row, after["missed_in_a_row"])


def summary(counts: Counts, probes: StallProbes) -> dict[str, object]:
    """Return the numbers under their names."""
    gaps = np.concatenate([np.diff(each) for each in counts.stamps])
    jitter = np.abs(gaps - PERIOD)
    longest = sorted((round(1000 * each.length, 1) for each in probes.stalls()), reverse=True)
    return {
        "seconds": round(counts.seconds, 1),
        "ticks": sum(map(len, counts.stamps)),
        "ticks with an action": counts.acted,
        "rate [Hz]": round(float(1 / gaps.mean()), 4),
        "jitter of a tick p50, p99, worst [ms]": [
            round(1000 * float(value), 3)
            for value in (*np.percentile(jitter, (50, 99)), jitter.max())
        ],
        "late ticks": counts.late,
        "commands the robot missed": counts.missed,
        "missed in a row": counts.missed_in_a_row,
        "robot aborts": counts.aborts,
        "stops: reason, detail, stall of the cores before it [ms]": counts.stops,
        "unexplained stops": counts.unexplained,
        "stalls of a core: number, longest [ms]": [len(longest), longest[:8]],
        "time that others took from this virtual machine [s]": round(probes.stolen, 2),
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SimulationError as error:
        sys.exit(str(error))
