"""Tables of subcommands: a module is imported when its subcommand is chosen, and not before."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Mapping, Sequence
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


def by_topic(topics: Mapping[str, Sequence[Command]]) -> str:
    """Return a list of commands under the names of their topics, for a help text."""
    width = max(len(command.name) for commands in topics.values() for command in commands)
    lines = []
    for topic, commands in topics.items():
        lines += [f"{topic}:", *(f"  {c.name:{width}}  {c.summary}" for c in commands), ""]
    return "\n".join([*lines, "vla-sae <command> --help shows the options of a command."])


def leaves(commands: Sequence[Command], program: str) -> Iterator[tuple[str, ModuleType]]:
    """Yield every command that does something, as its words and its module.

    A command of whose imports one is not installed is left out.
    """
    for command in commands:
        try:
            module = importlib.import_module(command.module)
        except ModuleNotFoundError:
            continue
        words = f"{program} {command.name}"
        if hasattr(module, "COMMANDS"):
            yield from leaves(module.COMMANDS, words)
        else:
            yield words, module


def add_commands(
    parser: argparse.ArgumentParser,
    commands: Sequence[Command],
    given: Sequence[str],
    listed: bool = True,
) -> None:
    """Add a subparser per command, with the options of the one that is named in `given` only.

    The parsed arguments carry `run` of the chosen module and `prog`, the words that chose it.

    Args:
        listed: list the commands in the parser's help; otherwise its epilog does.
    """
    subparsers = parser.add_subparsers(metavar="command", required=True)
    place = next((i for i, word in enumerate(given) if not word.startswith("-")), len(given))
    for command in commands:
        subparser = (
            subparsers.add_parser(command.name, description=command.summary, help=command.summary)
            if listed
            else subparsers.add_parser(command.name, description=command.summary)
        )
        if command.name in given[place : place + 1]:
            _fill(subparser, importlib.import_module(command.module), given[place + 1 :])


def _fill(parser: argparse.ArgumentParser, module: ModuleType, given: Sequence[str]) -> None:
    if hasattr(module, "COMMANDS"):
        add_commands(parser, module.COMMANDS, given)
    else:
        module.add_arguments(parser)
        parser.set_defaults(run=module.run, prog=parser.prog)
