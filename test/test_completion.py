"""The completion script, in bash."""

from __future__ import annotations

import subprocess

import pytest

from vla_sae_ros.completion import script

WORDS = {
    "vla-sae": ["bag", "up", "demo"],
    "vla-sae bag": ["info", "export"],
    "vla-sae bag info": ["--namespace"],
    "vla-sae up": ["sim", "droid"],
    "vla-sae up sim": ["--task", "--suite"],
    "vla-sae demo": ["--task"],
}


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("vla-sae ", "bag up demo"),
        ("vla-sae b", "bag"),
        ("vla-sae bag ", "info export"),
        ("vla-sae bag info --", "--namespace"),
        ("vla-sae up sim --task 3 --s", "--suite"),
        ("vla-sae demo --task sim --", "--task"),
        ("vla-sae fly", ""),
    ],
)
def test_commands_and_options_are_completed(typed: str, offered: str) -> None:
    words = typed.split(" ")
    program = f"""{script(WORDS, "bash")}
COMP_WORDS=({" ".join(repr(word) for word in words)})
COMP_CWORD={len(words) - 1}
_vla_sae
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-uc", program], capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (offered.split(), "")


def test_zsh_reads_it_through_bashcompinit() -> None:
    assert script(WORDS, "zsh").splitlines()[0].endswith("bashcompinit")
