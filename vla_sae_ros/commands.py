"""Tables of subcommands: a module is imported when its subcommand is chosen, and not before."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDERS = "vla_sae_ros.core.folders"
"""Where most of the functions of `Read` are."""


@dataclass(frozen=True)
class Read:
    """A folder or file that a command reads, and the function that refuses it by its path."""

    argument: str | int
    """An option, all of whose values are meant, or the number of a word after the command."""
    module: str
    function: str

    def check(self, given: Sequence[str]) -> None:
        """Refuse what is named and cannot be read; what is not clearly named is left alone.

        Raises:
            VlaSaeError: as the function does.
        """
        for value in self._values(given):
            function: Any = importlib.import_module(self.module)
            for name in self.function.split("."):
                function = getattr(function, name)
            function(Path(value))

    def _values(self, given: Sequence[str]) -> Sequence[str]:
        first = list(takewhile(_is_no_option, given))
        if isinstance(self.argument, int):
            return first[self.argument : self.argument + 1]
        for place, word in enumerate(given):
            if word == self.argument:
                return list(takewhile(_is_no_option, given[place + 1 :]))
            if word.startswith(f"{self.argument}="):
                return [word.partition("=")[2]]
        return []


def _is_no_option(word: str) -> bool:
    return not word.startswith("-")


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Its module offers add_arguments(parser) and run(args) -> exit status, or a table COMMANDS of
    subcommands of its own.
    """

    name: str
    module: str
    summary: str
    reads: tuple[Read, ...] = ()
    """What is looked for before the module is imported."""


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

    Raises:
        VlaSaeError: what the chosen command reads cannot be read; a note says which command.
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
            rest = given[place + 1 :]
            if not {"-h", "--help"} & set(rest):
                _check(command, rest, subparser.prog)
            _fill(subparser, importlib.import_module(command.module), rest)


def _check(command: Command, given: Sequence[str], words: str) -> None:
    try:
        for read in command.reads:
            read.check(given)
    except Exception as error:
        error.add_note(words)
        raise


def _fill(parser: argparse.ArgumentParser, module: ModuleType, given: Sequence[str]) -> None:
    if hasattr(module, "COMMANDS"):
        add_commands(parser, module.COMMANDS, given)
    else:
        module.add_arguments(parser)
        parser.set_defaults(run=module.run, prog=parser.prog)
