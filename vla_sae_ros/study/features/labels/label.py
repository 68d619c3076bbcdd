"""`vla-sae label`: names for a bundle's features, by evidence on held-out episodes."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.table import Table

from vla_sae_ros.activations.codes import check_collected_for, coded_episodes
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.format import EpisodeRecord
from vla_sae_ros.core.catalogue import CATALOGUE_FILE, Catalogue, FeatureEntry
from vla_sae_ros.core.terminal import plain_console
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.features.feature_statistics import FeatureStatistics, feature_statistics
from vla_sae_ros.study.features.labels.describe import add_describing_arguments, propose_names
from vla_sae_ros.study.features.labels.evidence_file import EVIDENCE_FILE, Evidence, FeatureEvidence
from vla_sae_ros.study.features.labels.evidence_labels import (
    EvidenceLabel,
    evidence_labels,
    followed,
)
from vla_sae_ros.study.features.labels.top_episodes import TopEpisodes
from vla_sae_ros.study.features.split_variables import with_variables
from vla_sae_ros.study.features.stability import seed_stability

TOP = 8
_LISTED = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `label`."""
    parser.add_argument(
        "bundle", type=Path, help="bundle folder; the labels are written into its catalogue"
    )
    parser.add_argument(
        "activations", type=Path, help="folder of activations collected with the bundle's policy"
    )
    parser.add_argument(
        "--seeds",
        type=Path,
        nargs="+",
        default=[],
        metavar="BUNDLE",
        help="bundles of the same site trained from other seeds, to measure how "
        "stable each feature is",
    )
    parser.add_argument(
        "--held-out",
        type=float,
        default=0.3,
        help="share of episodes to hold out if the folder does not contain the "
        "bundle's own held-out episodes; default %(default)s",
    )
    add_describing_arguments(parser)


@dataclass(frozen=True)
class _Split:
    training: tuple[EpisodeRecord, ...]
    held_out: tuple[EpisodeRecord, ...]
    chosen_by: str


@dataclass(frozen=True)
class _Parts:
    """Statistics of both parts of the episodes over the same variables."""

    training: FeatureStatistics
    held_out: FeatureStatistics
    labels: dict[int, EvidenceLabel]

    @property
    def alive(self) -> np.ndarray:
        """Return (F,) bool: which features fire in any of the episodes."""
        return (self.training.inferences + self.held_out.inferences) > 0


def run(args: argparse.Namespace) -> int:
    """Name the features, write evidence and catalogue, print a table; return the exit status."""
    console = plain_console()
    bundle = SaeBundle.load(args.bundle)
    dataset = ActivationDataset.open(args.activations)
    check_collected_for(bundle, dataset)
    Evidence.load(args.bundle, bundle.bundle_id)  # of another bundle: refused, not overwritten
    others = [SaeBundle.load(folder) for folder in args.seeds]
    stability = {other.bundle_id: seed_stability(bundle, other) for other in others}
    split = _split(bundle, dataset, args.held_out)
    parts = _measure(bundle, dataset, split)
    top = TopEpisodes.of(coded_episodes(bundle, dataset), TOP)
    evidence = _evidence(bundle, split, parts, top, stability)
    evidence.save(args.bundle)
    now = Catalogue.load(args.bundle / CATALOGUE_FILE)  # people may have written in it meanwhile
    catalogue = named(now, parts.labels)
    catalogue.save(args.bundle / CATALOGUE_FILE)
    console.print(_table(catalogue, evidence))
    print("\n".join(_in_words(args.bundle, evidence)))
    if args.describe is not None:
        active = parts.training.inferences + parts.held_out.inferences
        by_activity = [int(one) for one in np.argsort(-active, kind="stable") if active[one] > 0]
        propose_names(
            args, replace(bundle, catalogue=catalogue), dataset, evidence.held_out, by_activity
        )
    return 0


def named(catalogue: Catalogue, labels: dict[int, EvidenceLabel]) -> Catalogue:
    """Return the catalogue with new labels by evidence in the place of the old ones.

    A person's label stays, and one of unknown origin unless there is evidence for another.
    """
    entries = {entry.feature: entry for entry in catalogue.entries}
    for feature in sorted(entries.keys() | labels.keys()):
        entry = entries.get(feature) or FeatureEntry(feature)
        found = labels.get(feature)
        if found is not None:
            entry = entry.named_by_tool(found.label, found.description)
        elif entry.label_source == "evidence":
            entry = entry.named_by_tool("", "")
        entries[feature] = entry
    return Catalogue(catalogue.site, entries.values())


def _split(bundle: SaeBundle, dataset: ActivationDataset, share: float) -> _Split:
    """Hold out the episodes that the SAE was not trained on, where the folder has them."""
    own = set(bundle.card.data.get("held_out_episodes", ()))
    held_out = tuple(one for one in dataset.episodes if one.episode_id in own)
    training = tuple(one for one in dataset.episodes if one.episode_id not in own)
    if held_out and training:
        return _Split(training, held_out, "bundle")
    return _Split(*dataset.split(share), "split")


def _measure(bundle: SaeBundle, dataset: ActivationDataset, split: _Split) -> _Parts:
    site, collected = bundle.card.site, dataset.collection
    parts = with_variables(
        dataset.load(site, split.training),
        dataset.load(site, split.held_out),
        collected.control_rate,
        collected.state_names,
    )
    training, held_out = (
        feature_statistics(bundle.sae, part.data, part.variables) for part in parts
    )
    return _Parts(training, held_out, evidence_labels(training, held_out, parts[0].variables))


def _evidence(
    bundle: SaeBundle,
    split: _Split,
    parts: _Parts,
    top: TopEpisodes,
    stability: dict[str, np.ndarray],
) -> Evidence:
    names = parts.training.variables
    best = followed(parts.training, parts.held_out) if names else None
    features = []
    for feature in np.flatnonzero(parts.alive).tolist():
        follows = best is not None and math.isfinite(best.training[feature])
        features.append(
            FeatureEvidence(
                feature,
                variable=names[best.variable[feature]] if best and follows else "",
                r_training=float(best.training[feature]) if best and follows else math.nan,
                r_held_out=float(best.held_out[feature]) if best and follows else math.nan,
                named=feature in parts.labels,
                top=top.peaks(feature),
                stability={one: float(cosine[feature]) for one, cosine in stability.items()},
            )
        )
    return Evidence(
        bundle.bundle_id,
        len(split.training) + len(split.held_out),
        tuple(one.episode_id for one in split.held_out),
        split.chosen_by,
        names,
        {one: _mean(cosine[parts.alive]) for one, cosine in stability.items()},
        tuple(features),
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _table(catalogue: Catalogue, evidence: Evidence) -> Table:
    """Return the named features, the strongest first."""
    table = Table(title=f"features of {catalogue.site} named by evidence")
    for column, justify in _columns(bool(evidence.mean_stability)):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    found = [one for one in evidence.features if one.named]
    found.sort(key=lambda one: -abs(one.r_held_out))
    for one in found[:_LISTED]:
        entry = catalogue.get(one.feature)
        assert entry is not None
        by = " (by a person)" if entry.label_source == "person" else ""
        row = [str(one.feature), entry.label + by, f"{one.r_held_out:+.2f}"]
        stability = [f"{np.mean(list(one.stability.values())):.2f}"] if one.stability else []
        table.add_row(*row, one.variable, *stability)
    return table


def _columns(with_stability: bool) -> Sequence[tuple[str, str]]:
    columns = [("feature", "right"), ("label", "left"), ("r held out", "right")]
    more = [("stability", "right")] if with_stability else []
    return [*columns, ("variable", "left"), *more]


def _in_words(folder: Path, evidence: Evidence) -> list[str]:
    count = sum(one.named for one in evidence.features)
    lines = [
        f"{count} of {len(evidence.features)} features that fire got a name by evidence, against "
        f"{len(evidence.variables)} variables.",
        f"Checked on {len(evidence.held_out)} held-out of {evidence.episodes} episodes, "
        + (
            "which the SAE was not trained on."
            if evidence.chosen_by == "bundle"
            else "chosen anew, because the folder does not contain both held-out and other "
            "episodes of the bundle. The SAE may have been trained on them."
        ),
    ]
    lines += [
        f"Stability: mean decoder cosine {mean:.3f} with the best match in {other}."
        for other, mean in evidence.mean_stability.items()
    ]
    hidden = max(0, count - _LISTED)
    more = f" ({hidden} more named ones are not listed above)" if hidden else ""
    return [*lines, f"Everything is in {folder / EVIDENCE_FILE}{more}."]
