"""Episodes of noise, collected with their whole observations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla_sae_ros.activations.source import Answer, PolicyQuery
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.study.collection.activation_collection import ActivationCollection

SITE = "backbone.1"


def query(number: int, step: int) -> PolicyQuery:
    random = np.random.default_rng((number, step))
    frame: dict[str, np.ndarray] = {
        f"observation.images.{camera}": random.integers(0, 256, (64, 96, 3), np.uint8)
        for camera in ("agentview", "wrist")
    }
    frame["observation.state"] = random.normal(size=8).astype(np.float32)
    return PolicyQuery(frame, "pick up the butter", number, step)


@dataclass(frozen=True)
class FakeEpisode:
    """Three observations of noise."""

    number: int
    task: str = "fake"
    inferences: int = 3

    @property
    def episode_id(self) -> str:
        return f"e{self.number}"

    def play(self, answer: Answer) -> bool | None:
        for step in (0, 5, 10):
            answer(query(self.number, step))
        return None


@dataclass(frozen=True)
class FakeSource:
    """Episodes of noise."""

    numbers: Sequence[int]
    control_rate: float = 20.0

    identity = ""
    state_names = ()

    def episodes(self) -> Iterator[FakeEpisode]:
        return map(FakeEpisode, self.numbers)

    def close(self) -> None:
        pass


def train_sae_arguments(activations: Path, out: Path) -> list[str]:
    """The smallest training that `vla-sae train-sae` does on a few observed episodes."""
    return [
        "train-sae",
        str(activations),
        *("--out", str(out)),
        *("--dictionary-size", "16", "--k", "4", "--epochs", "1", "--held-out", "0.4"),
    ]


def collect_observed(
    loaded: LoadedPolicy, folder: Path, numbers: Sequence[int], keep: bool
) -> None:
    engine = PolicyEngine(loaded)
    source = FakeSource(numbers)
    collection = ActivationCollection(engine, folder, [SITE], "mean", source, 48, keep)
    try:
        collection.run(collection.waiting(), lambda episode: None)
    finally:
        collection.close()
        engine.close()
