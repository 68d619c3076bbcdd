"""`vla-sae tell`: another instruction for the episode that runs."""

from __future__ import annotations

import argparse
import os

from vla_sae_ros.clients.client import Client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tell`."""
    parser.add_argument("instruction", help="instruction for the policy from the next inference on")
    parser.add_argument("--episode", default="", help="id of the episode; default: the running one")


def run(args: argparse.Namespace) -> int:
    """Tell it; InstructionRefused with the bridge's reason otherwise."""
    with Client(f"tell_{os.getpid()}") as client:
        revision = client.tell(args.instruction, args.episode)
    print(f"instruction revision {revision}: the next inference uses it")
    return 0
