"""`vla-sae record`: start and stop bags in a running system."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from vla_sae_ros.nodes.client import Client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `record start` and `record stop`."""
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)
    start = actions.add_parser("start", help="start a bag")
    start.add_argument("folder", type=Path, nargs="?", help="default: a dated name")
    start.add_argument("--no-images", action="store_true", help="leave the pictures out")
    start.add_argument("--topics", nargs="+", default=[], help="default: the wire contract's")
    actions.add_parser("stop", help="close the bag")


def run(args: argparse.Namespace) -> int:
    """Do it and say where the bag is; RecordingError with the recorder's reason otherwise."""
    with Client(f"record_{os.getpid()}") as client:
        if args.action == "stop":
            print(client.stop_recording())
            return 0
        # The recorder may have been started in another folder.
        uri = str(args.folder.absolute()) if args.folder else ""
        print(f"recording into {client.start_recording(uri, not args.no_images, args.topics)}")
    return 0
