"""The bag that a command is about, and how a command says what it could not read of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vla_sae_ros.bags.storage.findings import Findings

_MAX_LINES = 50


def add_bag(parser: argparse.ArgumentParser, what: str = "folder of the bag") -> None:
    """Declare the bag and the system in it."""
    parser.add_argument("bag", type=Path, help=what)
    add_namespace(parser)


def add_namespace(parser: argparse.ArgumentParser) -> None:
    """Declare which system of a bag is meant."""
    parser.add_argument(
        "--namespace",
        metavar="NAME",
        help="namespace of the system in the bag, e.g. /left; default: the one with "
        "the most messages",
    )


def tell(*all_findings: Findings) -> int:
    """Print to the standard error what was left out of bags; return the exit status."""
    lines = [line for findings in all_findings for line in findings.in_words()]
    for line in lines[:_MAX_LINES]:
        print(line, file=sys.stderr)
    if len(lines) > _MAX_LINES:
        print(f"... and {len(lines) - _MAX_LINES} lines more", file=sys.stderr)
    return max((findings.status for findings in all_findings), default=0)
