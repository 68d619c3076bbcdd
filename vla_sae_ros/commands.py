"""Tables of subcommands: a module is imported when its subcommand is chosen, and not before."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Its module offers add_arguments(parser) and run(args) -> exit status, or a table COMMANDS of
    subcommands of its own.
    """

    name: str
    module: str
    summary: str


def add_commands(
    parser: argparse.ArgumentParser, commands: Sequence[Command], given: Sequence[str]
) -> None:
    """Add a subparser per command, with the options of the one that is named in `given` only.

    The parsed arguments carry `run` of the chosen module and `prog`, the words that chose it.
    """
    subparsers = parser.add_subparsers(metavar="command", required=True)
    place = next((i for i, word in enumerate(given) if not word.startswith("-")), len(given))
    for command in commands:
        subparser = subparsers.add_parser(
            command.name, help=command.summary, description=command.summary
        )
        if command.name in given[place : place + 1]:
            _fill(subparser, importlib.import_module(command.module), given[place + 1 :])


def _fill(parser: argparse.ArgumentParser, module: ModuleType, given: Sequence[str]) -> None:
    if hasattr(module, "COMMANDS"):
        add_commands(parser, module.COMMANDS, given)
    else:
        module.add_arguments(parser)
        parser.set_defaults(run=module.run, prog=parser.prog)
