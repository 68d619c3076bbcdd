"""How well a robot's bridge keeps its rate, on a strict simulated Franka, under load.

    python bench/robot_loop.py [--minutes 10] [--busy 1]

The arm waves under a policy's chunks all the while; `--busy` processes compute beside it. Printed:
ticks, late and skipped ones, how late they began, gaps between commands as the simulator's client
saw them, aborts of the robot's own control loop, stops.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from robot_rig import Rig

from vla_sae_ros.core.errors import SimulationError
from vla_sae_ros.msg import RobotState
from vla_sae_ros.nodes.conversions import to_ns

PERIOD = 1 / 15  # [s]


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
    load = [multiprocessing.get_context("spawn").Process(target=burn, daemon=True)
            for _ in range(args.busy)]
    rig = Rig()
    try:
        for process in load:
            process.start()
        rig.ready()
        numbers = measure(rig, args.minutes * 60)
    finally:
        for process in load:
            process.kill()
        rig.close()
        rclpy.try_shutdown()
    text = json.dumps(numbers, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")
    return 0 if numbers["stops"] == 0 and numbers["robot aborts"] == 0 else 1


def measure(rig: Rig, seconds: float) -> dict[str, object]:
    assert rig.robot is not None
    before = rig.robot.orders.order("status")
    first, rig.commands[:] = rig.state, []
    end = time.monotonic() + seconds
    while time.monotonic() < end and rig.state.status == RobotState.ENABLED:
        time.sleep(0.5)
    after, last, commands = rig.robot.orders.order("status"), rig.state, list(rig.commands)
    stamps = np.array([to_ns(each.header.stamp) for each in commands]) / 1e9
    gaps = np.diff(stamps)
    jitter = np.abs(gaps - PERIOD)
    played = sum(bool(len(each.requested)) for each in commands)
    return {
        "seconds": round(float(stamps[-1] - stamps[0]), 1),
        "ticks": len(commands),
        "rate [Hz]": round(float(1 / gaps.mean()), 4),
        "jitter of a tick p50, p99, worst [ms]": [
            round(1000 * float(value), 3)
            for value in (*np.percentile(jitter, (50, 99)), jitter.max())],
        "late ticks": last.late_ticks - first.late_ticks,
        "late p99 of the last 1000 [ms]": round(1000 * last.late_p99, 3),
        "ticks with an action": played,
        "stops": last.stops - first.stops,
        "reason": last.reason, "detail": last.detail,
        "robot aborts": len(after["aborts"]) - len(before["aborts"]),
        "commands the robot missed": after["missed"] - before["missed"],
        "missed in a row": after["missed_in_a_row"],
        "robot time slipped [s]": round(after["slipped"] - before["slipped"], 3),
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SimulationError as error:
        sys.exit(str(error))
