"""A process with a player and no policy: it asks another process for its answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.study.batches.jobs import Job, MakePlayer, Player
from vla_sae_ros.study.batches.served import received, serve


@dataclass(frozen=True)
class Question:
    """A job cannot go on without an answer."""

    question: Any


@dataclass(frozen=True)
class Refusal:
    """In the place of an answer: there is none."""

    reason: str


def serve_player(pipe: Connection, make: MakePlayer) -> None:
    """Play the jobs that come through the pipe until it ends."""
    serve(pipe, make, partial(_play, pipe), lambda player: player.close())


def _play(pipe: Connection, player: Player, job: Job) -> Any:
    def ask(question: Any) -> Any:
        pipe.send(Question(question))
        answer = received(pipe)
        if isinstance(answer, Refusal):
            raise VlaSaeError(answer.reason)
        return answer

    return job.play(player, ask)
