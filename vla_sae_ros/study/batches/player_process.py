"""A process with a player and no policy: it asks another process for its answers."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Any

from vla_sae_ros.core.errors import ConfigurationError, SimulationError, VlaSaeError
from vla_sae_ros.study.batches.jobs import Done, Failed, Job, MakePlayer


@dataclass(frozen=True)
class Question:
    """A job cannot go on without an answer."""

    question: Any


@dataclass(frozen=True)
class Refusal:
    """In the place of an answer: there is none."""

    reason: str


@dataclass(frozen=True)
class Unfit:
    """What is said of a player that cannot even be made."""

    reason: str


Said = Question | Done | Failed | Unfit


def serve(pipe: Connection, make: MakePlayer) -> None:
    """Play the jobs that come through the pipe until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def ask(question: Any) -> Any:
        pipe.send(Question(question))
        answer = pipe.recv()
        if isinstance(answer, Refusal):
            raise VlaSaeError(answer.reason)
        return answer

    try:
        player = make()
    except ConfigurationError as error:
        pipe.send(Unfit(str(error)))
        return
    except Exception as error:  # said to the parent, which counts it
        pipe.send(Failed(f"{type(error).__name__}: {error}", usable=False))
        return
    try:
        while True:
            said = played(player, pipe.recv(), ask)
            pipe.send(said)
            if isinstance(said, Failed) and not said.usable:
                return
    except EOFError:
        return  # nobody asks any longer
    finally:
        player.close()


def played(player: Any, job: Job, ask: Any) -> Done | Failed:
    """Play one job; say what came of it, or why nothing did."""
    try:
        return Done(job.play(player, ask))
    except EOFError:
        raise
    except Exception as error:  # said to the parent, which counts it
        # After a refusal everything is as before; after anything else nobody knows.
        usable = isinstance(error, VlaSaeError) and not isinstance(error, SimulationError)
        return Failed(f"{type(error).__name__}: {error}", usable)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None  # we were started by one
    parent.join()
    os._exit(1)
