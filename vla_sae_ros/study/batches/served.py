"""The child's side of a process that does what comes through its pipe, one thing after another."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Any

from vla_sae_ros.core.errors import SimulationError, VlaSaeError
from vla_sae_ros.study.batches.jobs import Done, Failed


@dataclass(frozen=True)
class Unfit:
    """What a child says that cannot even begin."""

    reason: str


class ParentGoneError(Exception):
    """Nobody is there any longer who would take a result or give an answer."""


def serve[W](
    pipe: Connection,
    make: Callable[[], W],
    do: Callable[[W, Any], Any],
    close: Callable[[W], None],
) -> None:
    """Do what comes through the pipe until it ends, saying `Done` or `Failed` each time.

    Args:
        pipe: to the parent.
        make: makes what works; a refusal is said as `Unfit`, anything else as `Failed`.
        do: one thing; returns its result.
        close: frees what works.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        worker = make()
    except Exception as error:  # said to the parent, which counts it
        pipe.send(Unfit(str(error)) if _is_refusal(error) else _failed(error, usable=False))
        return
    try:
        while True:
            thing = received(pipe)
            said = attempted(partial(do, worker, thing))
            pipe.send(said)
            if isinstance(said, Failed) and not said.usable:
                return
    except ParentGoneError:
        return
    finally:
        close(worker)


def received(pipe: Connection) -> Any:
    """Return the next thing from the parent; raises ParentGoneError at the pipe's end."""
    try:
        return pipe.recv()
    except EOFError as error:
        raise ParentGoneError from error


def attempted(do: Callable[[], Any]) -> Done | Failed:
    """Do it; return what came of it, or why nothing did; a ParentGoneError passes."""
    try:
        return Done(do())
    except ParentGoneError:
        raise
    except Exception as error:  # said to the parent, which counts it
        # After a refusal everything is as before; after anything else nobody knows.
        return _failed(error, _is_refusal(error))


def _failed(error: Exception, usable: bool) -> Failed:
    return Failed(f"{type(error).__name__}: {error}", usable)


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, VlaSaeError) and not isinstance(error, SimulationError)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # we were started by one
    parent.join()
    os._exit(1)
