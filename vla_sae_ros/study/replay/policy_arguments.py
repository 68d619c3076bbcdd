"""Options that name the policy that replays; without PyTorch, so that a help text needs none."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_sae_ros.core.parameters import MAP_HELP
from vla_sae_ros.policy.load_options import add_load_arguments


def add_policy_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which policy replays."""
    parser.add_argument(
        "--policy", type=Path, help="folder of the policy; default: the demonstration's"
    )
    parser.add_argument(
        "--bundles",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="SAE bundles; default: every bundle beside the policy, in sae/",
    )
    parser.add_argument("--contract", type=Path, help="contract file; default: LIBERO's")
    parser.add_argument("--map", metavar="OFFERED=POLICY,...", help=MAP_HELP)
    parser.add_argument("--device", default="", help="torch device; default: the recorded one")
    add_load_arguments(parser)
