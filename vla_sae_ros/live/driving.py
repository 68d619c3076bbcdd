"""Bringing up a system for the time of one script."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from vla_sae_ros.clients.client import Client
from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.supervision.console import Console
from vla_sae_ros.supervision.supervisor import Supervisor
from vla_sae_ros.systems.simulation import System


class SystemEnded(VlaSaeError):
    """The system ended, or was stopped, before the script had finished."""


def drive[Answer](
    system: System, log_folder: Path, name: str, script: Callable[[Client], Answer]
) -> Answer:
    """Bring up a system, run `script` with a client of it, stop the system; return its answer.

    Call it from the main thread: the processes die with the thread that starts them. Their
    output goes to `log_folder` only.

    Args:
        system: what to bring up.
        log_folder: gets one log file per process.
        name: node name of the client.
        script: runs on another thread.

    Raises:
        SystemEnded: a process ended by itself, or Ctrl-C; it names the log folder.
        Exception: whatever the script raises.
    """
    ended = threading.Event()

    def check() -> None:
        if ended.is_set():
            raise SystemEnded(
                f"the system ended before the script had; its logs are in {log_folder}."
            )

    answers: list[Answer] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with Client(name, check) as client:
                answers.append(script(client))
        except BaseException as error:  # raised again on the main thread
            failures.append(error)
        finally:
            supervisor.stop("the script has finished")

    with Path(os.devnull).open("w") as nowhere:
        console = Console([spec.name for spec in system.nodes], nowhere)
        supervisor = Supervisor(system, log_folder, console)
        thread = threading.Thread(target=work, name="script")
        thread.start()
        supervisor.run()
        ended.set()
        thread.join()
    if failures:
        raise failures[0]
    return answers[0]
