"""The players that a command's options ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from vla_sae_ros.policy.batch_engine import BATCHED_FAMILIES, BatchEngine
from vla_sae_ros.study.batches.jobs import Answering, AnsweringSpec, MakePlayer, Players
from vla_sae_ros.study.batches.processes import PlayerProcesses


class PlacedSpec(AnsweringSpec, Protocol):
    """A policy that also says what it needs of a machine."""

    @property
    def gpus(self) -> float: ...


@contextmanager
def players(
    ray: str | None,
    spec: PlacedSpec,
    answering: Answering,
    make: MakePlayer,
    batch: int,
    most: int,
) -> Iterator[Players]:
    """Yield players of this machine, or of a Ray cluster.

    Args:
        ray: address of the cluster; empty or None: this machine.
        spec: how to make a policy on the cluster.
        answering: the policy that is open in this process.
        make: makes a player, in its process.
        batch: players that one policy answers.
        most: players that there is something to do for.

    Raises:
        ConfigurationError: no such cluster.
    """
    found: Players
    if ray:
        from vla_sae_ros.study.batches.ray_players import RayPlayers  # only where it is wanted

        found = RayPlayers(ray, spec, make, batch, max(1, most), spec.gpus)
    else:
        found = PlayerProcesses(answering, min(batch, most), make)
    try:
        yield found
    finally:
        found.close()


def said_batch(engine: BatchEngine, wanted: int) -> int:
    """Return the batch size that is part of a result's identity; say where there is no batch."""
    if wanted == 1 or engine.together:
        return wanted
    print(
        f"{engine.policy_name}: this family is not known to give in a batch what it gives alone "
        f"(those that are: {', '.join(BATCHED_FAMILIES)}). The simulators share one policy, which "
        "answers them one by one."
    )
    return 1
