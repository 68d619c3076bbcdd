"""`vla-sae bag info`: what a bag holds, and what it lacks."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_sae_ros.study.bag_reading import open_bag


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the bag."""
    parser.add_argument("bag", type=Path, help="folder of the bag")


def run(args: argparse.Namespace) -> int:
    """Print the bag's topics."""
    with open_bag(args.bag) as reader:
        for name, topic in sorted(reader.topics.items()):
            print(f"{topic.msgcount:8} {name}")
    return 0
