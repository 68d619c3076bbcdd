"""Players as processes of this machine, answered by a policy in this process."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Self

from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.study.batches.batcher import Batcher
from vla_sae_ros.study.batches.children import Children
from vla_sae_ros.study.batches.jobs import Answering, Done, Failed, Job, MakePlayer, Session
from vla_sae_ros.study.batches.player_process import Question, Refusal, serve_player


class PlayerProcesses:
    """`jobs.Players` as processes, started when they are first given something; a context.

    Args:
        answering: the policy; the caller closes it.
        count: players, and the largest batch.
        make: makes a player, in its process.
    """

    def __init__(self, answering: Answering, count: int, make: MakePlayer) -> None:
        self.count = count
        self._answering = answering
        self._batcher = Batcher(answering.engine, count)
        self._children = Children(serve_player, make)
        self._sessions: dict[int, Session] = {}
        """Of the players that are at a job."""
        self._refused: list[tuple[int, Failed]] = []

    @property
    def batches(self) -> list[int]:
        """Rows of every inference so far."""
        return self._batcher.batches

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def give(self, player: int, job: Job) -> None:
        """Let an idle player play a job."""
        try:
            session = job.session(self._answering)
        except VlaSaeError as error:
            self._refused.append((player, Failed(f"{type(error).__name__}: {error}", True)))
            return
        self._sessions[player] = session
        self._batcher.expected = len(self._sessions)
        self._children.send(player, job)

    def wait(self) -> list[tuple[int, Done | Failed]]:
        """Answer questions until a player is done; see `jobs.Players.wait`."""
        found: list[tuple[int, Done | Failed]] = list(self._refused)
        self._refused.clear()
        while not found:
            for player, said in self._children.wait(self._sessions):
                if isinstance(said, Question):
                    self._ask(player, said)
                else:
                    found.append((player, said))
                    self._ended(player, said)
        return found

    def close(self) -> None:
        """Stop every player, whatever it is at."""
        self._children.close()
        self._batcher.close()

    def _ask(self, player: int, said: Question) -> None:
        pipe = self._children.pipe(player)
        future = self._batcher.submit(self._sessions[player], said.question)
        future.add_done_callback(lambda done: _send_answer(pipe, done))

    def _ended(self, player: int, said: Done | Failed) -> None:
        del self._sessions[player]
        self._batcher.expected = len(self._sessions)
        if isinstance(said, Failed) and not said.usable:
            self._children.dismiss(player)


def _send_answer(pipe: Connection, done: Future) -> None:
    """Send on the batches' thread: the player waits for it."""
    error = done.exception()
    answer = done.result() if error is None else Refusal(f"{type(error).__name__}: {error}")
    with suppress(OSError):  # the player is gone, which is noticed where its news are read
        pipe.send(answer)
