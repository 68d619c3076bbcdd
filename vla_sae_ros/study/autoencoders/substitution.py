"""What a policy does when an SAE's reconstruction stands in the place of its residual stream.

Measured over kept observations (how much the actions change) or in LIBERO (that, and success).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.format import EpisodeRecord
from vla_sae_ros.activations.observations import observed_steps, read_observation
from vla_sae_ros.activations.source import Answer, PolicyQuery
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.progress import CommandProgress
from vla_sae_ros.policy.checkpoints.feature_match import over, read_map
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.load_options import load_options
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.resources import resource
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sim.environment import Environment, Layout
from vla_sae_ros.sim.splits import EVALUATION_INIT_STATES
from vla_sae_ros.study.rollouts.execute_steps import executed_steps
from vla_sae_ros.study.rollouts.outcomes import wilson_interval
from vla_sae_ros.study.rollouts.playing import play_trial
from vla_sae_ros.study.rollouts.simulated import offered_features, own_names
from vla_sae_ros.study.rollouts.trials import Trial, parse_tasks, plan_trials


@dataclass(frozen=True)
class ActionDifference:
    """Over some inferences, each with the same observation and noise, plain and substituted.

    mean: mean |difference| of a chunk's actions. spread: mean |difference| of the plain actions
    from their mean, to compare.
    """

    mean: float
    spread: float
    inferences: int

    def in_words(self) -> str:
        """Return a sentence for a person."""
        return (
            "with the reconstruction in the place of the residual stream: actions differ by "
            f"{self.mean:.3f} (they spread by {self.spread:.3f}) over {self.inferences} inferences"
        )

    def as_metrics(self) -> dict[str, float]:
        """Return the numbers for a bundle's card."""
        return {
            "substitution_action_error": self.mean,
            "substitution_action_spread": self.spread,
        }


@dataclass(frozen=True)
class SubstitutionEffect:
    """Measured on the same initial states, seeds and noise with and without the reconstruction.

    actions: over all plain episodes. plain, substituted: episodes with success, of `episodes`.
    """

    actions: ActionDifference
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


Measure = Callable[[SaeBundle], SaeBundle]
"""Returns the bundle with more metrics."""


class SubstitutedPolicy:
    """A policy that can be asked with and without the reconstruction; close it in the end.

    Raises:
        ConfigurationError: the bundle does not fit the policy.
    """

    def __init__(self, loaded: LoadedPolicy, bundle: SaeBundle) -> None:
        self._engine = PolicyEngine(loaded)
        self._substitution = self._engine.attach_substitution(bundle)
        self._differences: list[float] = []
        self._chunks: list[np.ndarray] = []

    def observe(
        self, offered: Mapping[str, tuple[int, ...] | None], names: Mapping[str, str]
    ) -> None:
        """Take frames that bear these names from now on; see `match_features`."""
        self._engine.observe(offered, names)

    def close(self) -> None:
        """Take everything off the policy."""
        self._engine.close()

    def infer(self, query: PolicyQuery, substituted: bool) -> np.ndarray:
        """Return the chunk (H, A)."""
        self._substitution.active = substituted
        seed = (query.seed, query.step)
        return self._engine.infer(query.frame, query.instruction, seed).actions

    def compare(self, query: PolicyQuery) -> np.ndarray:
        """Ask twice, remember the difference and return the plain chunk (H, A)."""
        plain = self.infer(query, False)
        self._differences.append(float(np.abs(self.infer(query, True) - plain).mean()))
        self._chunks.append(plain)
        return plain

    def action_difference(self) -> ActionDifference:
        """Return the difference over everything compared so far."""
        chunks = np.concatenate(self._chunks)
        spread = float(np.abs(chunks - chunks.mean(axis=0)).mean())
        return ActionDifference(float(np.mean(self._differences)), spread, len(self._differences))


def kept_steps(
    dataset: ActivationDataset, episodes: Sequence[EpisodeRecord], count: int
) -> list[tuple[str, int]]:
    """Return `count` (episode id, step), or all, evenly among those whose observation was kept.

    Raises ConfigurationError where none was.
    """
    kept = [
        (episode.episode_id, step)
        for episode in episodes
        for step in observed_steps(dataset.folder, episode.episode_id)
    ]
    if not kept:
        raise ConfigurationError(
            f"{dataset.folder} has no observations of the held-out episodes. Collect with "
            "--keep-observations, or leave --action-error out."
        )
    chosen = np.linspace(0, len(kept) - 1, min(count, len(kept)))
    return [kept[number] for number in chosen.round().astype(int).tolist()]


def on_observations(
    loaded: LoadedPolicy,
    bundle: SaeBundle,
    dataset: ActivationDataset,
    steps: Iterable[tuple[str, int]],
) -> ActionDifference:
    """Ask the policy twice about each of the kept observations.

    Raises:
        ConfigurationError: the bundle does not fit the policy.
        CollectionError: a damaged observation.
    """
    policy = SubstitutedPolicy(loaded, bundle)
    try:
        for step in steps:
            observation = read_observation(dataset.folder, *step)
            assert observation is not None  # `kept_steps` saw it
            policy.compare(observation)
        return policy.action_difference()
    finally:
        policy.close()


def in_environment(
    loaded: LoadedPolicy,
    bundle: SaeBundle,
    environment: Environment,
    trials: Sequence[Trial],
    execute_steps: int | None = None,
    names: Mapping[str, str] = {},
) -> SubstitutionEffect:
    """Run every trial plain, comparing actions at each inference, and once with reconstructions.

    Raises:
        ConfigurationError: the bundle does not fit the policy, or the policy reads what the
            environment does not show; `names` may say what it calls it (`--map`).
    """
    policy = SubstitutedPolicy(loaded, bundle)
    steps = executed_steps(loaded.chunk_length, execute_steps, "execute_steps")

    def solved(answer: Answer, said: str) -> int:
        successes = 0
        with CommandProgress() as bar:
            task = bar.add_task(said, total=len(trials))
            for trial in trials:
                successes += play_trial(environment, trial, steps, answer)
                bar.advance(task)
        return successes

    try:
        policy.observe(offered_features(environment), over(names, own_names(environment)))
        plain = solved(policy.compare, "episodes, plain")
        substituted = solved(
            partial(policy.infer, substituted=True), "episodes, with the reconstruction"
        )
        return SubstitutionEffect(policy.action_difference(), plain, substituted, len(trials))
    finally:
        policy.close()


def in_libero(
    loaded: LoadedPolicy,
    bundle: SaeBundle,
    trials: Sequence[Trial],
    names: Mapping[str, str] = {},
) -> SubstitutionEffect:
    """Run every trial in LIBERO, plain and with reconstructions; see `in_environment`."""
    from vla_sae_ros.sim.libero import LiberoEnvironment  # only here is a simulator needed

    environment = LiberoEnvironment()
    try:
        return in_environment(loaded, bundle, environment, trials, names=names)
    finally:
        environment.close()


def substitution_trials(suite: str, tasks: str, episodes: int) -> list[Trial]:
    """Return `episodes` of each task ("all", "0,6" or "0:butter_1") on held-out initial states.

    Raises:
        ConfigurationError: no such suite or task, or no episode.
    """
    if episodes < 1:
        raise ConfigurationError(complaint("--env-episodes", episodes, "1 or more"))
    return plan_trials(parse_tasks(suite, tasks), EVALUATION_INIT_STATES, episodes, Layout())


def measurement(args: argparse.Namespace, dataset: ActivationDataset, seed: int) -> Measure:
    """Return what `vla-sae train-sae` shall measure of the SAE, once it is trained.

    Raises:
        ConfigurationError: what cannot be measured, before the training: no kept observation of a
            held-out episode, no such suite or task, or another policy than the one that the
            activations are of.
    """
    if args.env:
        trials = substitution_trials(args.env, args.env_tasks, args.env_episodes)
        names = read_map(args.map)
        loaded = _own_policy(args, dataset)
        return lambda bundle: with_effect(bundle, in_libero(loaded, bundle, trials, names))
    _, held_out = dataset.split(args.held_out, seed)
    steps = kept_steps(dataset, held_out, args.action_error)
    loaded = _own_policy(args, dataset)
    return lambda bundle: with_effect(bundle, on_observations(loaded, bundle, dataset, steps))


def with_effect(bundle: SaeBundle, effect: ActionDifference | SubstitutionEffect) -> SaeBundle:
    """Print the effect and return the bundle with its numbers among the metrics."""
    print(effect.in_words())
    card = replace(bundle.card, metrics={**bundle.card.metrics, **effect.as_metrics()})
    return replace(bundle, card=card)


def _own_policy(args: argparse.Namespace, dataset: ActivationDataset) -> LoadedPolicy:
    """Load the policy that the activations are of."""
    folder = args.policy or resource("models", "demo", "policy")
    loaded = load_policy(folder, options=load_options(args))
    if loaded.policy_id != dataset.collection.policy_id:
        allowed = f"{dataset.collection.policy_id!r}, of which the activations are"
        next_step = "Give the policy with --policy."
        raise ConfigurationError(complaint("policy id", loaded.policy_id, allowed, next_step))
    return loaded
