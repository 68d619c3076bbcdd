"""Does the share of memorized activation at the first steps tell which episodes will fail?

    python tools/memorized_share.py BUNDLE ACTIVATIONS... [--inferences 5]

Of every episode: the share of the activation that memorized features have, and the fraction of
variance that the SAE leaves unexplained (FVU), both over the first inferences. Prints for every
folder, and for all together, the AUROC with which each tells failing episodes from successful ones
(0.5: not at all), over all pairs and over pairs of the same instruction, with 95 % bootstrap
intervals over episodes and, for all pairs, over whole instructions, and the range of the middle 95
of 100 sets of as many alive features drawn at random. The bundle must be classified
(vla-sae classify).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError, complaint
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.monitoring.episodes import (
    check_read_as_tapped,
    inference_rows,
    unexplained,
)
from vla_sae_ros.study.monitoring.measures import grouped_auroc

Floats = npt.NDArray[np.float64]
RESAMPLES, RANDOM_SETS = 1000, 100


@dataclass(frozen=True)
class Beginnings:
    """First inferences of n episodes. activation: (n, F), summed over them. fvu: (n,), mean.

    failed: (n,) bool. instruction: (n,) numbers; equal ones are of the same instruction.
    """

    activation: Floats
    fvu: Floats
    failed: npt.NDArray[np.bool_]
    instruction: npt.NDArray[np.int64]

    def of(self, episodes: npt.NDArray[np.int64]) -> Beginnings:
        """Return these episodes; one may stand several times."""
        arrays = (self.activation, self.fvu, self.failed, self.instruction)
        return Beginnings(*(array[episodes] for array in arrays))


def beginnings(bundle: SaeBundle, folders: Sequence[Path], inferences: int) -> list[Beginnings]:
    """Return the beginnings of each folder's episodes whose outcome is known."""
    numbers: dict[str, int] = {}
    found = []
    for folder in folders:
        dataset = ActivationDataset.open(folder)
        check_read_as_tapped(dataset, bundle)
        known = [one for one in dataset.episodes if one.success is not None]
        if not known:
            raise ConfigurationError(
                complaint(f"episodes in {folder} whose outcome is known", 0, "1 or more")
            )
        rows = []
        for episode in known:
            data = dataset.load(bundle.card.policy_site, [episode])
            first = list(islice(inference_rows(data), inferences))
            rows.append(
                (
                    np.sum([largest_codes(bundle, one) for one in first], axis=0),
                    np.mean([unexplained(bundle, one) for one in first]),
                    not episode.success,
                    numbers.setdefault(episode.instruction, len(numbers)),
                )
            )
        activation, fvu, failed, instruction = zip(*rows, strict=True)
        found.append(
            Beginnings(
                np.stack(activation).astype(np.float64),
                np.array(fvu),
                np.array(failed),
                np.array(instruction, np.int64),
            )
        )
    return found


@torch.inference_mode()
def largest_codes(bundle: SaeBundle, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return (F,): the largest code of each feature over the rows (n, d) of an inference."""
    return np.asarray(bundle.sae.encode(torch.from_numpy(rows)).amax(dim=0))


def together(parts: Sequence[Beginnings]) -> Beginnings:
    """Return the episodes of all parts."""
    columns = ([getattr(one, name) for one in parts] for name in vars(parts[0]))
    return Beginnings(*(np.concatenate(column) for column in columns))


def share(episodes: Beginnings, features: npt.NDArray[np.int64]) -> Floats:
    """Return (n,): the share of these features in an episode's activation; 0 without any."""
    whole = episodes.activation.sum(axis=1)
    own = episodes.activation[:, features].sum(axis=1)
    return np.divide(own, whole, out=np.zeros_like(whole), where=whole > 0)


def auroc(episodes: Beginnings, values: Floats, within: bool) -> float:
    """Return the AUROC of values (n,); NaN with fewer than two episodes of a kind."""
    group = episodes.instruction if within else np.zeros(len(values), np.int64)
    return grouped_auroc(values, episodes.failed, group)[0]


def said(episodes: Beginnings, score: Callable[[Beginnings], Floats], within: bool) -> str:
    """Return an AUROC with its intervals, in words.

    Over all pairs the second interval draws whole instructions: their episodes often share a fate.
    """
    value = auroc(episodes, score(episodes), within)
    single = [np.array([row]) for row in range(len(episodes.failed))]
    words = f"{value:.2f} ({interval(episodes, single, score, within)}"
    if not within:
        of = [np.flatnonzero(episodes.instruction == one) for one in set(episodes.instruction)]
        words += f"; instructions drawn: {interval(episodes, of, score, within)}"
    return words + ")"


def interval(
    episodes: Beginnings,
    units: Sequence[npt.NDArray[np.int64]],
    score: Callable[[Beginnings], Floats],
    within: bool,
) -> str:
    """Return the 95 % bootstrap interval of an AUROC over units, each some episodes' numbers."""
    draw = np.random.default_rng(0)
    resampled = []
    for _ in range(RESAMPLES):
        drawn = draw.integers(0, len(units), len(units))
        chosen = episodes.of(np.concatenate([units[one] for one in drawn]))
        resampled.append(auroc(chosen, score(chosen), within))
    return percentiles(resampled)


def percentiles(values: Sequence[float]) -> str:
    """Return the middle 95 % of values, in words; nan where none is a number."""
    known = np.asarray(values)[np.isfinite(values)]
    low, high = np.percentile(known, (2.5, 97.5)) if known.size else (np.nan, np.nan)
    return f"{low:.2f} to {high:.2f}"


def random_range(episodes: Beginnings, alive: Sequence[int], count: int, within: bool) -> str:
    """Return the middle 95 % of the AUROC of random sets of features, in words."""
    draw = np.random.default_rng(1)
    values = [
        auroc(episodes, share(episodes, draw.permutation(alive)[:count]), within)
        for _ in range(RANDOM_SETS)
    ]
    return percentiles(values)


def print_table(
    name: str, episodes: Beginnings, features: npt.NDArray[np.int64], alive: Sequence[int]
) -> None:
    """Print the rows of one group of episodes."""
    print(f"\n{name}: {int(episodes.failed.sum())} of {len(episodes.failed)} episodes fail")
    scores = {
        "memorized share": lambda some: share(some, features),
        "FVU": lambda some: some.fvu,
    }
    for within in (False, True):
        where = "within an instruction" if within else "all pairs"
        for title, score in scores.items():
            print(f"  {title}, {where}: {said(episodes, score, within)}")
        print(f"  random features, {where}: {random_range(episodes, alive, len(features), within)}")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("activations", type=Path, nargs="+")
    parser.add_argument("--inferences", type=int, default=5)
    args = parser.parse_args()
    try:
        bundle = SaeBundle.load(args.bundle)
        classes = {one.feature: one.feature_class for one in bundle.catalogue.entries}
        memorized = np.array(
            [one for one, kind in classes.items() if kind == "memorized"], np.int64
        )
        if not len(memorized):
            raise ConfigurationError(
                complaint(
                    "memorized features of the bundle", 0, "1 or more", "Run vla-sae classify."
                )
            )
        parts = beginnings(bundle, args.activations, args.inferences)
    except VlaSaeError as error:
        print(error, file=sys.stderr)
        return 1
    alive = [one for one, kind in classes.items() if kind != "dead"]
    print(f"{len(memorized)} of {len(alive)} features are memorized")
    for folder, episodes in zip(args.activations, parts, strict=True):
        print_table(folder.name, episodes, memorized, alive)
    if len(parts) > 1:
        print_table("together", together(parts), memorized, alive)
    return 0


if __name__ == "__main__":
    sys.exit(main())
