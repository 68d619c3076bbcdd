"""One simulation, as `vla-sae up sim` has it, for all tests that only need one to be there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from domains import take_domain
from patience import PATIENCE

PROGRAM = """
import sys
from pathlib import Path
from vla_sae_ros.supervision.supervisor import Supervisor
from vla_sae_ros.systems.simulation import simulation_system

patient = dict(chunk_timeout=900.0, step_timeout=600.0, reset_timeout=900.0)
system = simulation_system({"autorun": False}).with_parameters("bridge", **patient)
sys.exit(Supervisor(system, Path("log")).run())
"""
"""With the patience that a machine needs on which much else runs."""


@dataclass(frozen=True)
class RunningSystem:
    """The process of the supervisor, what it says, and where it is to be found."""

    process: subprocess.Popen[str]
    log: Path
    domain: int


@pytest.fixture(scope="session")
def running_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """LIBERO, the shipped policy and a recorder, stopped as by Ctrl-C at the end.

    In a domain of its own: tests that are about nobody being there stay alone in theirs.
    """
    folder, domain = tmp_path_factory.mktemp("system"), take_domain()
    log = folder / "vla-sae.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"ROS_DOMAIN_ID": str(domain)},
        )
        yield RunningSystem(process, log, domain)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
