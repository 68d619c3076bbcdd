"""A test that hangs in native code ends its process, and is repeated once in another one.

pytest-timeout runs Python code, for which the thread that hangs must let go of the GIL; one inside
Fast DDS, say, does not (see `discovery_at_rest` in conftest.py). The timer of `faulthandler` needs
no GIL. pytest's own `faulthandler_exit_on_timeout` is not enough: it ends with the first failure
of a test, before the teardown that destroys the nodes.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import Scheduling
    from xdist.workermanage import WorkerController

STACKS = "stacks_of_the_hanging_process"
"""Key of a worker's input: the file for the stacks of its threads, empty unless it hung."""
REPEATED = pytest.StashKey[dict[str, str]]()
"""Tests that are repeated -> the stacks of their first process."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare `hang_limit`."""
    parser.addini(
        "hang_limit",
        "End the process of a test that takes longer [s]; 0: never. Above pytest-timeout's limit.",
        type="float",
        default=0.0,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Watch the tests of this process."""
    config.stash[REPEATED] = {}
    if limit := config.getini("hang_limit"):
        stacks = getattr(config, "workerinput", {}).get(STACKS)
        config.pluginmanager.register(HangWatch(limit, stacks))


class HangWatch:
    """Ends this process, with exit status 1, when a test takes too long.

    Args:
        limit: [s] for setup and call of a test, and again for its teardown.
        stacks: file that then gets the stacks of all threads; None: stderr.
    """

    def __init__(self, limit: float, stacks: str | None) -> None:
        self._limit = limit
        # Tests replace sys.stderr and file descriptor 2; both are the original ones by now.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._file = os.open(stacks, flags) if stacks else os.dup(sys.__stderr__.fileno())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        self._start()
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self) -> None:
        self._start()  # pytest ends the timer when a test fails

    def _start(self) -> None:
        faulthandler.dump_traceback_later(self._limit, exit=True, file=self._file)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Tell a worker of xdist where the stacks of its threads belong."""
    folder = node.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    node.workerinput[STACKS] = str(folder / f"stacks-{node.gateway.id}.txt")


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, report: pytest.TestReport, sched: Scheduling) -> None:
    """Repeat a test that hung, once. A worker that died otherwise has failed its test."""
    stacks = Path(report.node.workerinput[STACKS])  # type: ignore[attr-defined]
    told = stacks.read_text() if stacks.exists() else ""
    if not told:
        return
    report.longrepr = f"{report.longrepr}, where it hung in native code:\n{told}"
    repeated = sched.config.stash[REPEATED]
    if crashitem in repeated:
        return
    repeated[crashitem] = told
    sched.mark_test_pending(crashitem)
    report.outcome = "repeated"  # type: ignore[assignment]


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, object] | None:
    """Count a test that is repeated under a name of its own."""
    if report.outcome == "repeated":
        return "repeated", "R", ("REPEATED", {"yellow": True, "bold": True})
    return None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name each test that was repeated, and show where it hung."""
    for test, stacks in config.stash[REPEATED].items():
        terminalreporter.write_sep("=", f"repeated after its worker ended: {test}", yellow=True)
        terminalreporter.write_line(stacks)
