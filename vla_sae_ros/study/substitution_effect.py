"""What the policy does when the reconstruction stands in the place of the residual stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.loading import LoadedPolicy
from vla_sae_ros.policy.substitution import Substitution
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sim.environment import Environment
from vla_sae_ros.study.episode_source import Moment
from vla_sae_ros.study.libero_source import play_trial
from vla_sae_ros.study.policy_runner import EXECUTE_STEPS
from vla_sae_ros.study.trials import Trial


@dataclass(frozen=True)
class SubstitutionEffect:
    """Measured on the same initial states, seeds and noise with and without the reconstruction.

    action_error: mean |difference| of a chunk's actions on the same observation, over all plain
    episodes. action_spread: mean |difference| of the plain actions from their mean, to compare.
    plain, substituted: episodes with success, of `episodes`.
    """

    action_error: float
    action_spread: float
    plain: int
    substituted: int
    episodes: int

    def in_words(self) -> str:
        """Return a sentence for a person."""
        return (
            "with the reconstruction in the place of the residual stream: actions differ by "
            f"{self.action_error:.3f} (they spread by {self.action_spread:.3f}), "
            f"{self.substituted} of {self.episodes} episodes succeed, plain {self.plain}"
        )

    def as_metrics(self) -> dict[str, float]:
        """Return the numbers for a bundle's card."""
        return {
            "substitution_action_error": self.action_error,
            "substitution_action_spread": self.action_spread,
            "success_plain": self.plain / self.episodes,
            "success_substituted": self.substituted / self.episodes,
        }


def substitution_effect(
    loaded: LoadedPolicy,
    bundle: SaeBundle,
    environment: Environment,
    trials: Sequence[Trial],
    execute_steps: int = EXECUTE_STEPS,
) -> SubstitutionEffect:
    """Run every trial plain, comparing actions at each inference, and once with reconstructions.

    Raises:
        ConfigurationError: the bundle does not fit the policy.
    """
    engine = PolicyEngine(loaded)
    try:
        substitution = engine.attach_substitution(bundle)
        pilot = _Pilot(engine, substitution, environment, execute_steps)
        plain = [pilot.run(trial, substituted=False) for trial in trials]
        substituted = [pilot.run(trial, substituted=True) for trial in trials]
    finally:
        engine.close()
    chunks = np.concatenate(pilot.plain_chunks)
    return SubstitutionEffect(
        action_error=float(np.mean(pilot.errors)),
        action_spread=float(np.abs(chunks - chunks.mean(axis=0)).mean()),
        plain=sum(plain),
        substituted=sum(substituted),
        episodes=len(trials),
    )


class _Pilot:
    """Runs episodes with an engine whose stream can be replaced."""

    def __init__(
        self,
        engine: PolicyEngine,
        substitution: Substitution,
        environment: Environment,
        execute_steps: int,
    ) -> None:
        self._engine, self._substitution = engine, substitution
        self._environment, self._execute_steps = environment, execute_steps
        self.errors: list[float] = []
        self.plain_chunks: list[np.ndarray] = []

    def run(self, trial: Trial, substituted: bool) -> bool:
        """Return whether the episode succeeded."""
        answer = self._substituted if substituted else self._plain
        limit = trial.task.max_steps
        return play_trial(self._environment, trial, limit, self._execute_steps, answer)

    def _plain(self, moment: Moment) -> np.ndarray:
        chosen = self._infer(moment, False)
        self.errors.append(float(np.abs(self._infer(moment, True) - chosen).mean()))
        self.plain_chunks.append(chosen)
        return chosen

    def _substituted(self, moment: Moment) -> np.ndarray:
        return self._infer(moment, True)

    def _infer(self, moment: Moment, substituted: bool) -> np.ndarray:
        self._substitution.active = substituted
        seed = (moment.seed, moment.step)
        return self._engine.infer(moment.frame, moment.instruction, seed).actions
