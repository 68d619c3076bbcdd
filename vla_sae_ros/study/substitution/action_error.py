"""By how much actions change when the reconstruction stands in the residual stream's place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.format import EpisodeRecord
from vla_sae_ros.activations.observations import observed_steps, read_observation
from vla_sae_ros.activations.source import Moment
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.sae import SaeBundle


@dataclass(frozen=True)
class ActionError:
    """Over some inferences, each with the same observation and noise, plain and substituted.

    error: mean |difference| of a chunk's actions. spread: mean |difference| of the plain actions
    from their mean, to compare.
    """

    error: float
    spread: float
    inferences: int

    def in_words(self) -> str:
        """Return a sentence for a person."""
        return (
            "with the reconstruction in the place of the residual stream: actions differ by "
            f"{self.error:.3f} (they spread by {self.spread:.3f}) over {self.inferences} inferences"
        )

    def as_metrics(self) -> dict[str, float]:
        """Return the numbers for a bundle's card."""
        return {
            "substitution_action_error": self.error,
            "substitution_action_spread": self.spread,
        }


class SubstitutedPolicy:
    """A policy that can be asked with and without the reconstruction; close it in the end.

    Raises:
        ConfigurationError: the bundle does not fit the policy.
    """

    def __init__(self, loaded: LoadedPolicy, bundle: SaeBundle) -> None:
        self._engine = PolicyEngine(loaded)
        self._substitution = self._engine.attach_substitution(bundle)
        self._errors: list[float] = []
        self._chunks: list[np.ndarray] = []

    def close(self) -> None:
        """Take everything off the policy."""
        self._engine.close()

    def infer(self, moment: Moment, substituted: bool) -> np.ndarray:
        """Return the chunk (H, A)."""
        self._substitution.active = substituted
        seed = (moment.seed, moment.step)
        return self._engine.infer(moment.frame, moment.instruction, seed).actions

    def compare(self, moment: Moment) -> np.ndarray:
        """Ask twice, remember the difference and return the plain chunk (H, A)."""
        plain = self.infer(moment, False)
        self._errors.append(float(np.abs(self.infer(moment, True) - plain).mean()))
        self._chunks.append(plain)
        return plain

    def action_error(self) -> ActionError:
        """Return the error over everything compared so far."""
        chunks = np.concatenate(self._chunks)
        spread = float(np.abs(chunks - chunks.mean(axis=0)).mean())
        return ActionError(float(np.mean(self._errors)), spread, len(self._errors))


def kept_moments(
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
    return [kept[place] for place in chosen.round().astype(int).tolist()]


def action_error(
    loaded: LoadedPolicy,
    bundle: SaeBundle,
    dataset: ActivationDataset,
    moments: Iterable[tuple[str, int]],
) -> ActionError:
    """Ask the policy twice about each of the kept observations.

    Raises:
        ConfigurationError: the bundle does not fit the policy.
        CollectionError: a damaged observation.
    """
    policy = SubstitutedPolicy(loaded, bundle)
    try:
        for moment in moments:
            observation = read_observation(dataset.folder, *moment)
            assert observation is not None  # `kept_moments` saw it
            policy.compare(observation)
        return policy.action_error()
    finally:
        policy.close()
