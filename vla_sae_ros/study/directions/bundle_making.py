"""From fitted rows to a bundle of kind `directions`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vla_sae_ros.activations.dataset import ActivationDataset, SiteActivations
from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import Directions, SaeBundle
from vla_sae_ros.sae.bundle import BESIDE_THE_SAE, BundleCard
from vla_sae_ros.study.directions.evidence import Evidence, Samples, evidence
from vla_sae_ros.study.directions.fitting import (
    Fit,
    Matrix,
    Probe,
    chosen_probe,
    conceptor_rows,
    mean_difference,
)
from vla_sae_ros.study.directions.targets import Parts, make_target

KINDS = ("mean difference", "probe", "conceptor")


@dataclass(frozen=True)
class Wish:
    """A direction that was asked for: kind, one of KINDS, and the name of its target."""

    kind: str
    target: str


@dataclass(frozen=True)
class Fitted:
    """One row: its name, what it was fitted to and how, and what it is worth."""

    name: str
    kind: str
    target: str
    row: npt.NDArray[np.float64]
    evidence: Evidence


def fit_directions(
    wishes: Sequence[Wish], parts: Parts, sae: SaeBundle | None, rank: int, seed: int
) -> list[Fitted]:
    """Fit every direction on the training episodes, score it on the held-out ones.

    rank: rows of each conceptor.

    Raises:
        ConfigurationError: a target that cannot be, see `make_target`.
    """
    training = pooled_rows(parts.training.data)
    held_out = pooled_rows(parts.held_out.data)
    return [
        fitted
        for wish in wishes
        for fitted in _fit(wish, parts, (training, held_out), sae, rank, seed)
    ]


def directions_bundle(
    fitted: Sequence[Fitted],
    parts: Parts,
    dataset: ActivationDataset,
    site: str,
    data: dict[str, Any],
) -> SaeBundle:
    """Return the bundle of these rows, read and edited as projections in units of their spread.

    Raises:
        ConfigurationError: a row along which the training activations do not vary.
    """
    x = pooled_rows(parts.training.data)
    rows = np.stack([one.row for one in fitted])
    projected = x @ rows.T
    mean, spread = projected.mean(0), projected.std(0)
    flat = [one.name for one, own in zip(fitted, spread, strict=True) if not own > 0.0]
    if flat:
        raise ConfigurationError(f"The activations do not vary along {', '.join(flat)}.")
    sae = Directions.of_rows(*(torch.from_numpy(one).float() for one in (rows, mean, spread)))
    every = np.concatenate([projected, pooled_rows(parts.held_out.data) @ rows.T])
    largest = np.abs((every - mean) / spread).max(0)
    norm, norm_over = parts.training.data.mean_residual_norm(
        float(np.linalg.norm(x, axis=1).mean())
    )
    collection = dataset.collection
    card = BundleCard(
        policy_id=collection.policy_id,
        policy_name=collection.policy_name,
        site=site + BESIDE_THE_SAE,
        d_in=sae.d_in,
        dictionary_size=sae.dictionary_size,
        k=sae.k,
        pooling="mean",
        token_groups=collection.sites[site].token_groups,
        normalization=sae.normalization,
        mean_residual_norm=norm,
        mean_scale=1.0,
        data={
            **data,
            "mean_residual_norm_over": norm_over,
            "directions": [_record(one) for one in fitted],
        },
        metrics={f"held_out.{one.name}": one.evidence.score for one in fitted},
        kind="directions",
    )
    entries = [
        FeatureEntry(
            number,
            label=one.name,
            description=one.evidence.words,
            observed_max=float(largest[number]),
            label_source="evidence",
        )
        for number, one in enumerate(fitted)
    ]
    return SaeBundle(sae, card, Catalogue(card.site, entries))


def pooled_rows(data: SiteActivations) -> Matrix:
    """Return (n, d) float64, one row per inference: the mean over its tokens."""
    rows = np.asarray(data.rows[0 : len(data.rows)], np.float64)
    if len(rows) == len(data.steps):
        return rows
    count = np.array([one.rows for one in data.steps], np.float64)
    pooled: Matrix = np.add.reduceat(rows, data.first_row, axis=0) / count[:, None]
    return pooled


def _fit(
    wish: Wish,
    parts: Parts,
    x: tuple[Matrix, Matrix],
    sae: SaeBundle | None,
    rank: int,
    seed: int,
) -> list[Fitted]:
    target = make_target(wish.target, parts, wish.kind == "conceptor")
    training = Samples.known(x[0], target.training, parts.training.data.episode)
    held_out = Samples.known(x[1], target.held_out, parts.held_out.data.episode)
    wanted = training.target[:, None]
    if wish.kind == "conceptor":
        rows = conceptor_rows(training.x, wanted, rank)
        fits: list[Fit] = [_component(number) for number in range(len(rows))]
    elif wish.kind == "probe":
        fits = [chosen_probe(training.x, wanted, training.episode)]
        rows = fits[0](training.x, wanted)
    else:
        fits, rows = [mean_difference], mean_difference(training.x, wanted)
    numbers = [f" {n + 1}" for n in range(len(rows))] if wish.kind == "conceptor" else [""]
    return [
        Fitted(
            f"{wish.kind}: {target.name}{number}",
            _how(wish.kind, fit),
            target.name,
            row,
            evidence(fit, row, training, held_out, sae, seed),
        )
        for row, fit, number in zip(rows, fits, numbers, strict=True)
    ]


def _component(number: int) -> Fit:
    """Return what fits a conceptor's row of this number to each of some targets."""

    def fit(samples: Matrix, targets: Matrix) -> Matrix:
        return np.stack(
            [conceptor_rows(samples, one[:, None], number + 1)[number] for one in targets.T]
        )

    return fit


def _how(kind: str, fit: Fit) -> str:
    return f"{kind}, ridge penalty {fit.penalty:g}" if isinstance(fit, Probe) else kind


def _record(one: Fitted) -> dict[str, Any]:
    """Return what the card says; YAML has no None in a list of numbers, so NaN is left out."""
    said = {
        name: value
        for name, value in asdict(one.evidence).items()
        if not (isinstance(value, float) and math.isnan(value)) and value is not None
    }
    return {"name": one.name, "kind": one.kind, "target": one.target, **said}
