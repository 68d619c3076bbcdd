"""`vla-sae record`: start and stop bags in a running system."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from vla_sae_ros.clients.client import Client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare `record start` and `record stop`."""
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)
    start = actions.add_parser("start", help="start a bag")
    place = start.add_mutually_exclusive_group()
    place.add_argument(
        "folder",
        type=Path,
        nargs="?",
        help="folder of the bag; default: a dated name; a folder outside the "
        "recorder's output folder needs the recorder's parameter any_folder",
    )
    place.add_argument("--name", default="", help="name within the recorder's own output folder")
    start.add_argument(
        "--images",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="record the camera pictures, too (default: yes)",
    )
    start.add_argument(
        "--compressed",
        choices=("none", "png", "jpeg"),
        default="",
        help="compression of pictures, from now on: png is lossless, jpeg is "
        "smaller; none and png replay bit-identically (default: the recorder's "
        "setting)",
    )
    start.add_argument(
        "--topics",
        nargs="+",
        default=[],
        help="topics to record; default: those of the wire contract",
    )
    actions.add_parser("stop", help="close the bag")


def run(args: argparse.Namespace) -> int:
    """Do it and say where the bag is; RecordingError with the recorder's reason otherwise."""
    with Client(f"record_{os.getpid()}") as client:
        if args.action == "stop":
            print(client.stop_recording())
            return 0
        # The recorder may have been started in another folder.
        uri = str(args.folder.absolute()) if args.folder else args.name
        if args.compressed:
            client.set_parameter("recorder", "image_compression", args.compressed)
        print(f"recording into {client.start_recording(uri, args.images, args.topics)}")
    return 0
