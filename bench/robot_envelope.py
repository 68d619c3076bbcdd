"""The property test of the safety envelope with a lagging arm, at length.

    python bench/robot_envelope.py [--ticks 100000] [--robots panda fr3]

Random actions drive an arm that follows late and overshoots; own differences and kinematics of what
was sent, and the tool of what was measured.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "test" / "helpers"))

from lagging_arm import drive

from vla_sae_ros.robot.envelope.measured_guard import BREACH
from vla_sae_ros.robot.settings_file import load_robot


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=100_000, help="for each robot and damping")
    parser.add_argument("--robots", nargs="+", default=["panda", "fr3"])
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    fine = True
    for name in args.robots:
        for damping in (0.7, 1.2):
            began = time.perf_counter()
            worst = drive(load_robot(name), args.seed, args.ticks, damping)
            fine &= worst.outside <= 2 * BREACH and max(worst.velocity, worst.acceleration) < 1.001
            print(
                f"{name}, damping {damping}: {worst.ticks} ticks in "
                f"{time.perf_counter() - began:.0f} s; measured at most "
                f"{1000 * worst.outside:+.2f} mm outside; of our limits: velocity "
                f"{worst.velocity:.3f}, acceleration {worst.acceleration:.3f}; margin left "
                f"{worst.margin:+.4f} rad; tool step {1000 * worst.tool_step:.1f} mm; stops "
                f"{worst.stops}",
                flush=True,
            )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
