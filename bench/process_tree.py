"""The processes below this one, by the module that each runs: their processor time and memory."""

from __future__ import annotations

import os
from pathlib import Path


def own_processes() -> list[tuple[str, Path]]:
    """Return (name, folder in /proc) of this process and of all below it.

    The name is the last part of the module of this package that runs there, e.g. "policy_node".
    """
    found: list[tuple[str, Path]] = []
    tree = {os.getpid()}
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_text().split("\0")
        except OSError:  # it has just ended
            continue
        if parent not in tree and int(folder.name) not in tree:
            continue
        tree.add(int(folder.name))
        modules = [word for word in words if word.startswith("vla_sae_ros.")] or words
        found.append((modules[-1].rpartition(".")[2] or "bench", folder))
    return found


def processor_seconds() -> dict[str, float]:
    """Return the processor time [s] of each of `own_processes`, by name."""
    used: dict[str, float] = {}
    for name, folder in own_processes():
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        used[name] = used.get(name, 0.0) + seconds
    return used


def resident_megabytes() -> dict[str, float]:
    """Return the resident memory [MB] of each of `own_processes`, by name."""
    held: dict[str, float] = {}
    for name, folder in own_processes():
        try:
            pages = int((folder / "statm").read_text().split()[1])
        except OSError:
            continue
        held[name] = held.get(name, 0.0) + pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return held
