"""`vla-sae contract`: an environment's contract, to read, to edit, and to give to other tools."""

from __future__ import annotations

import argparse

import yaml

from vla_sae_ros.sim.benchmark import LIBERO_CONTRACT
from vla_sae_ros.sim.environment import LIBERO


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--env", default=LIBERO, metavar="NAME", help="default %(default)s")
    parser.add_argument(
        "--suite", default="", help="task of the environment (lerobot's setting `task`)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the contract as YAML; return the exit status."""
    if args.env == LIBERO:
        print(LIBERO_CONTRACT.read_text(encoding="utf-8"), end="")
        return 0
    from vla_sae_ros.sim.lerobot_envs.benchmark import LerobotBenchmark  # seconds

    document = LerobotBenchmark(args.env).contract_document(args.suite)
    print(yaml.safe_dump(document, sort_keys=False, width=100), end="")
    return 0
