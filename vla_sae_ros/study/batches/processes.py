"""Players as processes of this machine, answered by a policy in this process."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Self

from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError
from vla_sae_ros.study.batches.batcher import Batcher
from vla_sae_ros.study.batches.jobs import Answering, Done, Failed, Job, MakePlayer, Session
from vla_sae_ros.study.batches.player_process import Question, Refusal, Said, Unfit, serve

_SPAWN = multiprocessing.get_context("spawn")  # OpenGL and torch do not survive a fork
CLOSING_S = 5.0


@dataclass
class _Player:
    process: BaseProcess
    pipe: Connection
    session: Session | None = None
    """Of the job that it is at."""


class PlayerProcesses:
    """`jobs.Players` as processes, started when they are first given something; a context.

    Args:
        answering: the policy; the caller closes it.
        count: players, and the largest batch.
        make: makes a player, in its process.
    """

    def __init__(self, answering: Answering, count: int, make: MakePlayer) -> None:
        self.count = count
        self._answering, self._make = answering, make
        self._batcher = Batcher(answering.engine, count)
        self._players: dict[int, _Player] = {}
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
        if player not in self._players:
            self._players[player] = _start(self._make)
        self._players[player].session = session
        self._expect()
        with suppress(BrokenPipeError):  # dead already: that is noticed at its end of the pipe
            self._players[player].pipe.send(job)

    def wait(self) -> list[tuple[int, Done | Failed]]:
        """Answer questions until a player is done; see `jobs.Players.wait`."""
        found: list[tuple[int, Done | Failed]] = list(self._refused)
        self._refused.clear()
        while not found:
            busy = {one.pipe: number for number, one in self._players.items() if one.session}
            for pipe in wait(list(busy)):
                assert isinstance(pipe, Connection)
                number = busy[pipe]
                said = self._heard(number)
                if isinstance(said, Unfit):
                    raise ConfigurationError(said.reason)
                if isinstance(said, Question):
                    self._ask(self._players[number], said)
                else:
                    found.append((number, said))
                    self._ended(number, said)
        return found

    def close(self) -> None:
        """Stop every player, whatever it is at."""
        for number in list(self._players):
            self._dismiss(number)
        self._batcher.close()

    def _ask(self, player: _Player, said: Question) -> None:
        assert player.session is not None  # only who plays asks
        pipe = player.pipe
        future = self._batcher.submit(player.session, said.question)
        future.add_done_callback(lambda done: _send_answer(pipe, done))

    def _heard(self, number: int) -> Said:
        player = self._players[number]
        try:
            said: Said = player.pipe.recv()
        except (EOFError, OSError):
            player.process.join(CLOSING_S)
            return Failed(f"its process ended with status {player.process.exitcode}", False)
        return said

    def _ended(self, number: int, said: Done | Failed) -> None:
        self._players[number].session = None
        if isinstance(said, Failed) and not said.usable:
            self._dismiss(number)
        self._expect()

    def _expect(self) -> None:
        self._batcher.expected = sum(one.session is not None for one in self._players.values())

    def _dismiss(self, number: int) -> None:
        player = self._players.pop(number)
        player.pipe.close()
        player.process.terminate()
        player.process.join(CLOSING_S)
        if player.process.is_alive():
            player.process.kill()
            player.process.join()


def _start(make: MakePlayer) -> _Player:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=serve, args=(theirs, make), daemon=True)
    process.start()
    theirs.close()  # so that the pipe ends with the process
    return _Player(process, ours)


def _send_answer(pipe: Connection, done: Future) -> None:
    """Send on the batches' thread: the player waits for it."""
    error = done.exception()
    answer = done.result() if error is None else Refusal(f"{type(error).__name__}: {error}")
    with suppress(OSError):  # the player is gone, which is noticed where its news are read
        pipe.send(answer)
