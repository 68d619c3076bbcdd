"""How a policy is loaded, beside what its folder says, and the options of commands for that."""

from __future__ import annotations

import argparse
from dataclasses import dataclass


@dataclass(frozen=True)
class LoadOptions:
    """What the user says of a policy's folder; it travels to other processes.

    Attributes:
        trust_remote_code: run code that comes with the folder, or that it names on the hub.
        unnorm_key: of OpenVLA: data set whose statistics turn its tokens into actions; may be left
            out where there is one only.
    """

    trust_remote_code: bool = False
    unnorm_key: str = ""


DEFAULT_OPTIONS = LoadOptions()


def add_load_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --trust-remote-code and --unnorm-key."""
    parser.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="run code that comes with the policy's folder, or that it names on the hub; OpenVLA "
        "cannot be loaded without",
    )
    parser.add_argument(
        "--unnorm-key",
        default="",
        metavar="NAME",
        help="OpenVLA only: data set whose statistics turn its tokens into actions; may be left "
        "out where the policy has one only",
    )


def load_options(args: argparse.Namespace) -> LoadOptions:
    """Return what `add_load_arguments` declared."""
    return LoadOptions(args.trust_remote_code, args.unnorm_key)
