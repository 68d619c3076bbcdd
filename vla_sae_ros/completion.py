"""`vla-sae completion`: a script that completes commands and options in bash and zsh."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence

from vla_sae_ros.commands import leaves

FILES = {
    "bash": "~/.local/share/bash-completion/completions/vla-sae",
    "zsh": "~/.vla-sae-completion.zsh, and source that file in ~/.zshrc",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the choice of the shell."""
    parser.add_argument("shell", choices=tuple(FILES))
    parser.epilog = "; ".join(f"{shell}: write it to {file}" for shell, file in FILES.items())


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from vla_sae_ros.cli import COMMANDS  # which names this module

    words: dict[str, list[str]] = {"vla-sae": [command.name for command in COMMANDS]}
    for command, module in leaves(COMMANDS, "vla-sae"):
        parser = argparse.ArgumentParser(prog=command, add_help=False)
        module.add_arguments(parser)
        parent, _, name = command.rpartition(" ")
        words.setdefault(parent, []).append(name)
        _add_words(words, command, parser)
    print(script(words, args.shell))
    return 0


def _add_words(words: dict[str, list[str]], command: str, parser: argparse.ArgumentParser) -> None:
    """Add the options of a parser, and those of its subparsers."""
    own = words.setdefault(command, [])
    for action in parser._actions:  # argparse has no public way to list them
        own += action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for name, subparser in action.choices.items():
                own.append(name)
                _add_words(words, f"{command} {name}", subparser)


def script(words: Mapping[str, Sequence[str]], shell: str) -> str:
    """Return the script for a shell.

    Args:
        words: The words of a command -> the words that may come next. Where none begins as what
            was typed, files complete.
    """
    cases = [
        f'    "{command}") words="{" ".join(dict.fromkeys(after))}" ;;'
        for command, after in words.items()
        if all(re.fullmatch(r"[\w-]+", word) for word in after)
    ]
    head = ["autoload -U +X bashcompinit && bashcompinit"] if shell == "zsh" else []
    return "\n".join([*head, _BASH.replace("CASES", "\n".join(cases))])


_BASH = """\
_vla_sae_words() {
  case "$1" in
CASES
    *) return 1 ;;
  esac
}
_vla_sae() {
  local words="" command="vla-sae" i
  _vla_sae_words "$command"
  for ((i = 1; i < COMP_CWORD; i++)); do
    if _vla_sae_words "$command ${COMP_WORDS[i]}"; then command="$command ${COMP_WORDS[i]}"; fi
  done
  _vla_sae_words "$command"
  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _vla_sae vla-sae"""
