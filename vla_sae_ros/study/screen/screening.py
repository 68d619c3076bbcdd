"""Effects of all rows of some bundles by gradients, and of a few by edits that were made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.gradient import ChunkGradient
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.screen.observations import Looked

Floats = npt.NDArray[np.float64]
RANDOM_ROWS = 1000
"""Directions drawn uniformly from all, which the features are compared with."""


@dataclass(frozen=True)
class SiteScreen:
    """The effects at one bundle, per 1 x the mean residual norm added along a row.

    effect, error: (F,) mean over the episodes and its standard error; NaN for a row of length 0.
    random: (RANDOM_ROWS,) the same of random directions. by_observation: (n, d), the gradient per
    1 x the mean residual norm along a unit vector.
    """

    bundle: SaeBundle
    effect: Floats
    error: Floats
    random: Floats
    by_observation: Floats

    def rows(self) -> Floats:
        """Return the unit decoder rows (F, d); NaN for one of length 0."""
        rows = self.bundle.sae.W_dec.detach().cpu().numpy().astype(np.float64)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(norms > 0.0, norms, np.nan)


@dataclass(frozen=True)
class Checked:
    """Features whose edits were made: feature, effect by gradient and by edit, at the dose.

    gradient, edit: (features, observations).
    """

    features: tuple[int, ...]
    dose: float
    gradient: Floats
    edit: Floats

    @property
    def correlation(self) -> float:
        """Pearson's r of the two over features and observations; NaN where either is constant."""
        return _correlation(self.gradient.ravel(), self.edit.ravel())

    @property
    def mean_correlation(self) -> float:
        """The same of the features' means over the observations."""
        return _correlation(self.gradient.mean(1), self.edit.mean(1))

    @property
    def same_sign(self) -> float:
        """Share of the features whose mean effects have the same sign."""
        means = np.sign(self.gradient.mean(1)), np.sign(self.edit.mean(1))
        return float((means[0] == means[1]).mean())


def _correlation(one: Floats, other: Floats) -> float:
    both = np.stack([one, other])
    if both.shape[1] < 2 or not (both.std(axis=1) > 0.0).all():
        return float("nan")
    return float(np.corrcoef(both)[0, 1])


def screened(
    loaded: LoadedPolicy,
    bundles: Sequence[SaeBundle],
    looked: Sequence[Looked],
    seed: int,
    track: Callable[[Sequence[Looked]], Iterable[Looked]] = iter,
) -> list[SiteScreen]:
    """Screen every row of the bundles with one backward pass per observation."""
    engine = PolicyEngine(loaded)
    try:
        gradient = ChunkGradient(engine, bundles)
        found = [
            gradient.of(
                one.query.frame, one.query.instruction, (one.query.seed, one.query.step), one.effect
            ).along
            for one in track(looked)
        ]
    finally:
        engine.close()
    episode = np.array([one.episode for one in looked])
    return [
        _site(bundle, np.stack([one[bundle.card.site] for one in found]), episode, seed)
        for bundle in bundles
    ]


def checked(
    loaded: LoadedPolicy,
    screen: SiteScreen,
    looked: Sequence[Looked],
    some: Sequence[int],
    features: Sequence[int],
    dose: float,
    track: Callable[[Sequence[Looked]], Iterable[Looked]] = iter,
) -> Checked:
    """Make the edits: add `dose` x the mean residual norm along each feature's row.

    looked: what was screened; some: the places in it at which edits are made.
    """
    bundle = screen.bundle
    edits = [Snapshot(edits=_edit(bundle, feature, dose)) for feature in features]
    made = np.zeros((len(features), len(some)))
    engine = PolicyEngine(loaded, [bundle])
    try:
        for number, one in enumerate(track([looked[place] for place in some])):
            query = one.query
            values = [
                _value(one, engine.infer(query.frame, query.instruction, seed, edit).actions)
                for seed in [(query.seed, query.step)]
                for edit in [Snapshot(), *edits]
            ]
            made[:, number] = np.array(values[1:]) - values[0]
    finally:
        engine.close()
    expected = dose * screen.rows()[list(features)] @ screen.by_observation[list(some)].T
    return Checked(tuple(features), dose, expected, made)


def to_check(screen: SiteScreen, count: int, seed: int) -> list[int]:
    """Choose features to check: the strongest of both signs, and as many at random."""
    alive = np.flatnonzero(np.isfinite(screen.effect))
    ranked = alive[np.argsort(screen.effect[alive])]
    side = max(1, count // 3)
    chosen = [*ranked[:side].tolist(), *ranked[::-1][:side].tolist()]
    drawn = np.random.default_rng(seed).permutation(alive).tolist()
    return list(dict.fromkeys([*chosen, *drawn]))[:count]


def _edit(bundle: SaeBundle, feature: int, dose: float) -> dict[str, tuple[AppliedEdit, ...]]:
    norm = float(bundle.sae.W_dec[feature].norm())
    value = dose * bundle.residual_norm_activation / norm
    return {bundle.card.site: (AppliedEdit(feature, Mode.ADD, value, 1.0),)}


def _value(one: Looked, actions: npt.NDArray[np.float32]) -> float:
    return float(one.effect(torch.from_numpy(actions)))


def _site(
    bundle: SaeBundle, along: Floats, episode: npt.NDArray[np.int64], seed: int
) -> SiteScreen:
    per_norm = along * bundle.residual_norm_activation
    draw = np.random.default_rng(seed).normal(size=(RANDOM_ROWS, per_norm.shape[1]))
    random = draw / np.linalg.norm(draw, axis=1, keepdims=True)
    _, of, count = np.unique(episode, return_inverse=True, return_counts=True)
    by_episode = np.zeros((len(count), per_norm.shape[1]))
    np.add.at(by_episode, of, per_norm)
    by_episode /= count[:, None]
    empty = SiteScreen(bundle, np.zeros(0), np.zeros(0), np.zeros(0), per_norm)
    effects = by_episode @ empty.rows().T
    error = (
        effects.std(0, ddof=1) / np.sqrt(len(effects)) if len(effects) > 1 else effects[0] * np.nan
    )
    return SiteScreen(bundle, effects.mean(0), error, by_episode.mean(0) @ random.T, per_norm)
