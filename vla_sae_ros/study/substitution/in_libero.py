"""What the policy does when the reconstruction stands in the place of the residual stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from vla_sae_ros.activations.source import Answer
from vla_sae_ros.core.progress import CommandProgress
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sim.environment import Environment
from vla_sae_ros.study.rollouts.outcomes import wilson_interval
from vla_sae_ros.study.rollouts.playing import EXECUTE_STEPS, play_trial
from vla_sae_ros.study.rollouts.trials import Trial
from vla_sae_ros.study.substitution.action_error import ActionError, SubstitutedPolicy


@dataclass(frozen=True)
class SubstitutionEffect:
    """Measured on the same initial states, seeds and noise with and without the reconstruction.

    actions: over all plain episodes. plain, substituted: episodes with success, of `episodes`.
    """

    actions: ActionError
    plain: int
    substituted: int
    episodes: int

    def in_words(self) -> str:
        """Return a sentence for a person."""
        return (
            f"{self.actions.in_words()}\n"
            f"success: plain {self._rate(self.plain)}, "
            f"with the reconstruction {self._rate(self.substituted)}"
        )

    def as_metrics(self) -> dict[str, float]:
        """Return the numbers for a bundle's card."""
        return {
            **self.actions.as_metrics(),
            "success_plain": self.plain / self.episodes,
            "success_substituted": self.substituted / self.episodes,
            "substitution_episodes": float(self.episodes),
        }

    def _rate(self, successes: int) -> str:
        low, high = wilson_interval(successes, self.episodes)
        return f"{successes} of {self.episodes} episodes (95 % interval {low:.0%} to {high:.0%})"


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
    policy = SubstitutedPolicy(loaded, bundle)

    def solved(answer: Answer, said: str) -> int:
        successes = 0
        with CommandProgress() as bar:
            task = bar.add_task(said, total=len(trials))
            for trial in trials:
                steps = trial.task.max_steps
                successes += play_trial(environment, trial, steps, execute_steps, answer)
                bar.advance(task)
        return successes

    try:
        plain = solved(policy.compare, "episodes, plain")
        substituted = solved(
            partial(policy.infer, substituted=True), "episodes, with the reconstruction"
        )
        return SubstitutionEffect(policy.action_error(), plain, substituted, len(trials))
    finally:
        policy.close()
