"""The observations that open loop looks at: of plain rollouts, kept as the policy saw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_sae_ros.activations.source import PolicyQuery
from vla_sae_ros.sim.environment import TaskSpec
from vla_sae_ros.study.experiment.design.settings import RunSettings
from vla_sae_ros.study.experiment.records.files import Arrays
from vla_sae_ros.study.experiment.records.outcome import Result
from vla_sae_ros.study.experiment.records.timing import Timed
from vla_sae_ros.study.experiment.run.questions import Look
from vla_sae_ros.study.experiment.run.recorder import actions_sha256
from vla_sae_ros.study.experiment.run.rollouts import trial_of
from vla_sae_ros.study.experiment.run.setup import RunSetup
from vla_sae_ros.study.rollouts.playing import play_trial


@dataclass(frozen=True)
class Observed(Arrays):
    """Observations of one episode, as the policy's frames.

    Attributes:
        steps: (n,) int64, control steps executed before each.
        keys: (k,) str, features of the policy. instruction: () str. episode: () str, its pair.
        pictures: (n, c, H, W, 3) uint8 of the keys that are pictures, in order.
        vectors: (n, m) float32, those of the other keys side by side; widths: (v,) int64.
    """

    steps: npt.NDArray[np.int64]
    keys: npt.NDArray[np.str_]
    instruction: npt.NDArray[np.str_]
    episode: npt.NDArray[np.str_]
    pictures: npt.NDArray[np.uint8]
    vectors: npt.NDArray[np.floating[Any]]
    widths: npt.NDArray[np.int64]

    @classmethod
    def of(cls, queries: Sequence[PolicyQuery], episode: str) -> Observed:
        """Keep the frames of an episode's queries."""
        frame = queries[0].frame
        pictures = [key for key, value in frame.items() if value.ndim == 3]
        vectors = [key for key, value in frame.items() if value.ndim == 1]
        return cls(
            np.array([query.step for query in queries], np.int64),
            np.array(pictures + vectors, str),
            np.array(queries[0].instruction),
            np.array(episode),
            np.array([[query.frame[key] for key in pictures] for query in queries], np.uint8),
            np.array(
                [np.concatenate([query.frame[key] for key in vectors]) for query in queries],
                np.float32,
            ),
            np.array([len(frame[key]) for key in vectors], np.int64),
        )

    def frame(self, number: int) -> dict[str, np.ndarray]:
        """Return the policy's frame of one observation."""
        ends = np.cumsum(self.widths)[:-1]
        values = [*self.pictures[number], *np.split(self.vectors[number], ends)]
        return dict(zip(map(str, self.keys), values, strict=True))


def run_observations(setup: RunSetup, settings: RunSettings, task: TaskSpec) -> Result:
    """Play a plain rollout and keep what the policy saw every `settings.every` steps."""
    timed = Timed()
    policy = setup.hooked(settings)
    kept: list[PolicyQuery] = []
    actions: list[np.ndarray] = []

    def answer(query: PolicyQuery) -> np.ndarray:
        if len(kept) * settings.every <= query.step:
            kept.append(query)
        seed = (settings.noise_seeds[0], query.step)
        told = settings.instruction or query.instruction
        chunk = policy.infer(query.frame, told, seed, share=0.0).actions
        actions.append(chunk)
        return chunk

    try:
        trial = trial_of(settings, task)
        success = play_trial(setup.scene(), trial, settings.execute_steps, answer)
    finally:
        policy.close()
    assert settings.pair is not None  # of a rollout
    observed = Observed.of(kept, settings.pair.text)
    outcome = timed.outcome(success, len(kept), actions_sha256(np.array(actions)))
    return Result(outcome, observed.to_bytes())


def looks(paths: Sequence[Path], count: int) -> list[Look]:
    """Return `count` observations, the first of every episode before the second of any."""
    episodes = [Observed.load(path) for path in paths]
    longest = max((len(one.steps) for one in episodes), default=0)
    order = [(n, e) for n in range(longest) for e, one in enumerate(episodes) if n < len(one.steps)]
    return [
        Look(
            f"{episodes[e].episode}@{episodes[e].steps[n]}",
            e,
            episodes[e].frame(n),
            str(episodes[e].instruction),
            int(episodes[e].steps[n]),
        )
        for n, e in sorted(order[:count], key=lambda at: (at[1], at[0]))
    ]
