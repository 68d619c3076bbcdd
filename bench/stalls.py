"""When a processor itself stood still: what no program on it can do anything about.

One probe per core, pinned, more urgent than everything else (SCHED_FIFO), sleeps for a millisecond
over and over. Where it wakes late by more than some milliseconds, a hypervisor, the firmware or the
kernel held the core; a virtual machine's cores are lent to others ("steal").
"""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from types import TracebackType

PRIORITY = 97
NAP = 0.001  # [s]
LEAST = 0.004  # [s] a stall shorter than this is not kept


@dataclass(frozen=True)
class Stall:
    """A core stood still until `end` [s, time.monotonic()] for `length` [s]."""

    core: int
    end: float
    length: float


class StallProbes:
    """Probes on all cores, for a `with` block."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._found: Queue[Stall] = context.Queue()
        self._all: list[Stall] = []
        self._stolen_before = _stolen()
        self._probes = [
            context.Process(target=_probe, args=(core, self._found), daemon=True)
            for core in sorted(os.sched_getaffinity(0))
        ]

    def __enter__(self) -> StallProbes:
        for probe in self._probes:
            probe.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for probe in self._probes:
            probe.kill()

    def stalls(self) -> list[Stall]:
        """Return every stall so far.

        Raises:
            RuntimeError: a probe has ended, so that nobody knows.
        """
        dead = [probe.exitcode for probe in self._probes if not probe.is_alive()]
        if dead:
            raise RuntimeError(f"{len(dead)} probes ended ({dead}): may this user run SCHED_FIFO?")
        while not self._found.empty():
            self._all.append(self._found.get())
        return list(self._all)

    @property
    def stolen(self) -> float:
        """Return the time that a hypervisor gave to others meanwhile [s], over all cores."""
        return _stolen() - self._stolen_before

    def within(self, begin: float, end: float) -> float:
        """Return the seconds that cores stood still between two times, summed over the cores."""
        return sum(
            max(0.0, min(each.end, end) - max(each.end - each.length, begin))
            for each in self.stalls()
        )


def _stolen() -> float:
    ticks = Path("/proc/stat").read_text(encoding="utf-8").split(maxsplit=9)[8]
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def _probe(core: int, found: Queue[Stall]) -> None:
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    last = time.monotonic()
    while True:
        time.sleep(NAP)
        now = time.monotonic()
        if now - last - NAP > LEAST:
            found.put(Stall(core, now, now - last - NAP))
        last = now
