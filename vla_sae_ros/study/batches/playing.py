"""Letting players play a list of jobs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from vla_sae_ros.core.errors import SimulationError
from vla_sae_ros.study.batches.jobs import Done, Failed, Job, Players


def outcomes[J: Job](players: Players, jobs: Sequence[J]) -> Iterator[tuple[J, Done | Failed]]:
    """Play the jobs, begun in their order; yield each as it ends, well or not."""
    left = deque(jobs)
    at: dict[int, J] = {}
    while left or at:
        for player in range(players.count):
            if left and player not in at:
                at[player] = left.popleft()
                players.give(player, at[player])
        for player, outcome in players.wait():
            yield at.pop(player), outcome


def results[J: Job](players: Players, jobs: Sequence[J]) -> Iterator[tuple[J, object]]:
    """Play the jobs, begun in their order; yield each with its result as it ends.

    Raises:
        SimulationError: one could not be played; it names it.
    """
    for job, outcome in outcomes(players, jobs):
        if isinstance(outcome, Failed):
            raise SimulationError(f"{job.name} could not be played: {outcome.reason}")
        yield job, outcome.result
