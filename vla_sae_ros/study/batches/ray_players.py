"""Players as actors on a Ray cluster, in groups, each with its policy on the same machine."""

from __future__ import annotations

import threading
from typing import Any, Self

from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError
from vla_sae_ros.study.batches.batcher import Batcher
from vla_sae_ros.study.batches.jobs import (
    AnsweringSpec,
    Done,
    Failed,
    Job,
    MakePlayer,
    Player,
    Session,
)
from vla_sae_ros.study.batches.ray_cluster import (
    Machine,
    RayActorError,
    RayTaskError,
    join_cluster,
    machines,
    ray,
)
from vla_sae_ros.study.batches.served import attempted

POLICY_RESTARTS = 3
"""Times that a policy whose process ended is loaded anew."""


class RayPlayers:
    """`jobs.Players` as actors: one player per CPU, a policy for every `batch` of a machine's.

    Args:
        address: "auto" for the cluster this machine belongs to, or "host:port".
        spec: how to make a policy; what it names lies at the same paths on every machine.
        make: makes a player, in its process.
        batch: players that one policy answers, and its largest batch.
        count: players; 0: one per CPU of the cluster.
        gpus: of each policy.

    Raises:
        ConfigurationError: no cluster there.
    """

    def __init__(
        self,
        address: str,
        spec: AnsweringSpec,
        make: MakePlayer,
        batch: int,
        count: int = 0,
        gpus: float = 0,
    ) -> None:
        join_cluster(address)
        self._make = make
        self._places: list[tuple[Machine, Any]] = []
        for machine in machines():
            for number in range(machine.cpus):
                if number % batch == 0:
                    policy = _Policy.options(
                        num_gpus=gpus,
                        max_concurrency=batch + 1,
                        scheduling_strategy=machine.strategy,
                    ).remote(spec, batch)
                self._places.append((machine, policy))
        self.count = min(count or len(self._places), len(self._places))
        self._actors: dict[int, Any] = {}
        self._under_way: dict[Any, int] = {}

    @property
    def machines(self) -> int:
        """How many machines have players."""
        return len({machine for machine, _ in self._places[: self.count]})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def give(self, player: int, job: Job) -> None:
        """Let an idle player play a job."""
        if player not in self._actors:
            machine, policy = self._places[player]
            place = _Player.options(scheduling_strategy=machine.strategy)
            self._actors[player] = place.remote(player, policy, self._make)
        self._under_way[self._actors[player].play.remote(job)] = player

    def wait(self) -> list[tuple[int, Done | Failed]]:
        """Wait until a player is done; see `jobs.Players.wait`."""
        done, _ = ray.wait(list(self._under_way), num_returns=1)
        return [self._taken(reference) for reference in done]

    def close(self) -> None:
        """Stop every player and policy, and leave the cluster."""
        for player in list(self._actors):
            self._dismiss(player)
        for policy in {policy for _, policy in self._places}:
            ray.kill(policy)
        self._places = []
        ray.shutdown()

    def _taken(self, reference: Any) -> tuple[int, Done | Failed]:
        player = self._under_way.pop(reference)
        outcome: Done | Failed
        try:
            outcome = ray.get(reference)
        except RayTaskError as error:
            if isinstance(error.cause, ConfigurationError):
                raise ConfigurationError(str(error.cause)) from error
            outcome = Failed(f"{type(error.cause).__name__}: {error.cause}", usable=False)
        except RayActorError as error:
            outcome = Failed(f"its player is gone: {str(error).splitlines()[0]}", usable=False)
        if isinstance(outcome, Failed) and not outcome.usable:
            self._dismiss(player)
        return player, outcome

    def _dismiss(self, player: int) -> None:
        ray.kill(self._actors.pop(player))


class _RemotePolicy:
    """Answers the players of a group; it opens with the first, so that errors arrive as such."""

    def __init__(self, spec: AnsweringSpec, most: int) -> None:
        self._spec, self._most = spec, most
        self._lock = threading.Lock()
        self._answering: Any = None
        self._sessions: dict[int, Session] = {}

    def open(self) -> None:
        """Load the policy if that has not been done."""
        with self._lock:
            if self._answering is None:
                answering = self._spec.open()
                self._batcher = Batcher(answering.engine, self._most)
                self._answering = answering

    def begin(self, player: int, job: Job) -> None:
        self._sessions[player] = job.session(self._answering)

    def ask(self, player: int, question: Any) -> Any:
        return self._batcher.submit(self._sessions[player], question).result()


class _RemotePlayer:
    """Plays jobs; it makes its player with the first, so that its errors arrive as such."""

    def __init__(self, number: int, policy: Any, make: MakePlayer) -> None:
        self._number, self._policy, self._make = number, policy, make
        self._player: Player | None = None

    def play(self, job: Job) -> Done | Failed:
        ray.get(self._policy.open.remote())
        if self._player is None:
            self._player = self._make()
        try:
            ray.get(self._policy.begin.remote(self._number, job))
        except VlaSaeError as error:
            return Failed(f"{type(error).__name__}: {error}", usable=True)
        player = self._player
        return attempted(lambda: job.play(player, self._ask))

    def _ask(self, question: Any) -> Any:
        return ray.get(self._policy.ask.remote(self._number, question))


_Policy: Any = ray.remote(num_cpus=0, max_restarts=POLICY_RESTARTS)(_RemotePolicy)
_Player: Any = ray.remote(num_cpus=1, max_restarts=0)(_RemotePlayer)
