"""Run one strict robot until it is interrupted."""

from __future__ import annotations

import argparse
import gc
import sys

from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.robot.droid import RESET_POSE
from vla_sae_ros.robot.limits import PUBLISHED
from vla_sae_ros.robot.loop.realtime import become_realtime
from vla_sae_ros.robot.strict_sim.simulation import StrictSimulation

ORDERS_PORT = 1340


def main(arguments: list[str] | None = None) -> int:
    """Print one line once it serves; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m vla_sae_ros.robot.strict_sim", description=__doc__
    )
    parser.add_argument(
        "--host", default="127.0.0.2", help="loopback address of the simulated robot"
    )
    parser.add_argument(
        "--orders-port", type=int, default=ORDERS_PORT, help="port; 0: any free port"
    )
    parser.add_argument(
        "--robot", choices=sorted(PUBLISHED), default="fr3", help="model whose limits apply"
    )
    parser.add_argument(
        "--time-scale", type=float, default=1.0, help="robot seconds per second, for slow machines"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=0.0,
        help="seconds to wait for a late command; a real robot does not wait",
    )
    given = parser.parse_args(arguments)
    try:
        simulation = StrictSimulation(
            given.host,
            given.orders_port,
            PUBLISHED[given.robot],
            RESET_POSE,
            given.time_scale,
            given.patience,
        )
    except VlaSaeError as error:
        print(error, file=sys.stderr)
        return 2
    why_not = become_realtime()
    gc.collect()
    gc.freeze()
    print(
        f"serving {given.host}, orders at port {simulation.address[1]}; "
        f"{why_not or 'real-time priority'}",
        flush=True,
    )
    try:
        simulation.run()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
