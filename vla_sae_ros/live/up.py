"""`vla-sae up <system>`: run a system as supervised processes."""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_sae_ros.core.parameters import Parameter
from vla_sae_ros.environment import check_domain, keep_to_this_machine
from vla_sae_ros.supervision.supervisor import Supervisor, dated_log_folder
from vla_sae_ros.systems.robots import SYSTEMS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare one sub-subcommand per system, with its arguments as options."""
    systems = parser.add_subparsers(dest="system", metavar="system", required=True)
    for name, kind in SYSTEMS.items():
        subparser = systems.add_parser(name, help=kind.summary, description=kind.summary)
        for argument in kind.arguments:
            _add_option(subparser, argument)
        subparser.add_argument("--log-folder", type=Path, help="default: out/log/<date>")


def run(args: argparse.Namespace) -> int:
    """Run the system until Ctrl-C; return an exit status."""
    check_domain()
    kind = SYSTEMS[args.system]
    if keep_to_this_machine() == "LOCALHOST":
        print("on this machine only; others: ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET", flush=True)
    given = {
        argument.name: value
        for argument in kind.arguments
        if (value := getattr(args, argument.name)) is not None
    }
    return Supervisor(kind.describe(given), args.log_folder or dated_log_folder()).run()


def _add_option(parser: argparse.ArgumentParser, argument: Parameter) -> None:
    option = "--" + argument.name.replace("_", "-")
    unit = f" [{argument.unit}]" if argument.unit else ""
    text = f"{argument.description}{unit} (default: {argument.default!r})".replace("%", "%%")
    if isinstance(argument.default, bool):
        parser.add_argument(option, action=argparse.BooleanOptionalAction, default=None, help=text)
    elif isinstance(argument.default, tuple):
        parser.add_argument(option, nargs="+", metavar="VALUE", help=text)
    else:
        # Ranges and choices are the argument's own to check: the message is the same everywhere.
        parser.add_argument(option, metavar=type(argument.default).__name__.upper(), help=text)
