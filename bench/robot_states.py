"""The machine of states under every interleaving, deeper than the test goes.

python bench/robot_states.py [--depth 8] [--waiting 2]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "test" / "helpers"))

from robot_exploration import explore


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=8, help="events")
    parser.add_argument("--waiting", type=int, default=2, help="requests under way at once")
    args = parser.parse_args()
    found = explore(depth=args.depth, waiting=args.waiting)
    print(
        f"{found.states} states, {found.transitions} transitions, depth {found.depth}"
        f"{', complete' if found.complete else ''}, {found.seconds:.1f} s: no invariant broken"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
