"""`vla-sae classify`: general or memorized, for every feature of a bundle."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from vla_sae_ros.activations.codes import episode_codes
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.core.catalogue import CATALOGUE_FILE, Catalogue, FeatureEntry
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.terminal import plain_console
from vla_sae_ros.core.whole_file import write_whole
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.features.generality.generality import TAU, EpisodeStatistics, FeatureMetrics
from vla_sae_ros.study.features.generality.generality_classifier import (
    METRICS,
    GeneralityClassifier,
    leave_one_out_accuracy,
)
from vla_sae_ros.study.features.generality.generality_file import (
    GENERALITY_FILE,
    read_generality,
    said_classes,
)
from vla_sae_ros.study.features.generality.generality_labels import GeneralityLabels
from vla_sae_ros.study.features.generality.generality_share import (
    Share,
    general_probability,
    general_share,
    share_difference,
    shares_by_outcome,
)

_LISTED = 10


@dataclass(frozen=True)
class Measured:
    """A bundle over a set of episodes."""

    bundle: SaeBundle
    statistics: EpisodeStatistics
    metrics: FeatureMetrics
    succeeded: tuple[bool | None, ...]
    """Of each episode; None: not known."""

    @classmethod
    def of(cls, bundle_folder: Path, activations: Path, tau: float) -> Measured:
        """Read both folders and measure every feature."""
        bundle = SaeBundle.load(bundle_folder)
        dataset = ActivationDataset.open(activations)
        codes = episode_codes(bundle, dataset, unit_length=True)
        statistics = EpisodeStatistics.of(codes, tau)
        succeeded = tuple(one.success for one in dataset.episodes)
        return cls(bundle, statistics, statistics.metrics(), succeeded)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `classify`."""
    parser.add_argument(
        "bundle", type=Path, help="bundle folder; the classes are written into its catalogue"
    )
    parser.add_argument(
        "activations", type=Path, help="folder of activations collected with the bundle's policy"
    )
    parser.add_argument(
        "--classifier",
        choices=("libero", "droid"),
        default="libero",
        help="published weights to use; default %(default)s",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        help="YAML file of your own labels {bundle_id, labels: {feature: "
        "general|memorized}}: the weights are fitted to them, and your label "
        "of a feature stays its class",
    )
    parser.add_argument(
        "--tau",
        type=float,
        default=TAU,
        help="onset threshold of the codes, for samples of unit length",
    )
    parser.add_argument(
        "--against",
        type=Path,
        nargs=2,
        metavar=("BUNDLE", "ACTIVATIONS"),
        help="also compare the share of general features with another policy's",
    )
    parser.add_argument(
        "--draws", type=int, default=1000, help="number of draws of the bootstrap over episodes"
    )


def run(args: argparse.Namespace) -> int:
    """Classify, write the catalogue and print the shares; return the exit status."""
    if not 0.0 <= args.tau < math.inf:
        raise ConfigurationError(complaint("--tau", args.tau, "a number from 0 on"))
    console = plain_console()
    measured = Measured.of(args.bundle, args.activations, args.tau)
    given = _given_labels(args, measured.bundle)
    before = read_generality(args.bundle, measured.bundle.bundle_id)
    said = said_classes(before) | given
    classifier = _classifier(args, measured, given, console)
    share = general_share(measured.statistics, classifier, args.draws)
    by_outcome = shares_by_outcome(measured.statistics, measured.succeeded, classifier)
    probability = general_probability(measured.metrics, classifier)
    now = Catalogue.load(args.bundle / CATALOGUE_FILE)  # people may have written in it meanwhile
    catalogue = classified(now, measured.metrics, probability, said)
    catalogue.save(args.bundle / CATALOGUE_FILE)
    record = _record(args, measured, classifier, share, said)
    record["by_outcome"] = {
        name: {"value": value, "episodes": count} for name, (value, count) in by_outcome.items()
    }
    write_whole(args.bundle / GENERALITY_FILE, (json.dumps(record, indent=1) + "\n").encode())
    console.print(_table(catalogue, probability))
    console.print(_in_words(str(args.bundle), measured, share))
    if len(by_outcome) == 2:
        console.print(_outcomes_in_words(by_outcome))
    if said:
        console.print(_labels_in_words(said, probability))
    replaced = f"; they replace those of {before['episodes']} episodes" if before else ""
    print(f"The classes are in {args.bundle / CATALOGUE_FILE}{replaced}.")
    warning = without_onset(measured.metrics, args.tau)
    if warning:
        console.print(warning)
    if args.against is not None:
        other = Measured.of(args.against[0], args.against[1], args.tau)
        other_share = general_share(other.statistics, classifier, args.draws, seed=1)
        console.print(_in_words(str(args.against[0]), other, other_share))
        value, low, high = share_difference(share, other_share)
        console.print(f"difference {value:+.1%}, 95 % interval {low:+.1%} to {high:+.1%}")
    return 0


def classified(
    catalogue: Catalogue,
    metrics: FeatureMetrics,
    probability: np.ndarray,
    said: Mapping[int, str],
) -> Catalogue:
    """Return the catalogue with metrics and class of all F features; everything else stays.

    What a person `said` of a feature that fires is its class, whatever its P(general).
    """
    entries = []
    for feature in range(len(probability)):
        entry = catalogue.get(feature) or FeatureEntry(feature)
        p = float(probability[feature])
        kind = said.get(feature, _class_of(p))
        entries.append(
            replace(
                entry,
                feature_class="dead" if math.isnan(p) else kind,
                general_probability=p,
                coverage=float(metrics.coverage[feature]),
                onset_count=float(metrics.onset_count[feature]),
                relative_run_length=float(metrics.relative_run_length[feature]),
            )
        )
    return Catalogue(catalogue.site, entries)


def _class_of(probability: float) -> str:
    return "general" if probability >= 0.5 else "memorized"


def _outcomes_in_words(by_outcome: Mapping[str, tuple[float, int]]) -> str:
    (solved, successes), (missed, failures) = by_outcome["succeeded"], by_outcome["failed"]
    return (
        f"{solved:.1%} in the {successes} episodes that succeeded, {missed:.1%} in the {failures} "
        "that failed. Features begin more often where movements are tried again: compare policies "
        "in episodes of the same outcome, or at the same recorded observations."
    )


def _labels_in_words(said: Mapping[int, str], probability: np.ndarray) -> str:
    otherwise = [
        feature
        for feature, kind in said.items()
        if not math.isnan(probability[feature]) and _class_of(probability[feature]) != kind
    ]
    return (
        f"{len(said)} features have the class that a person gave them; for {len(otherwise)} of "
        f"them the weights give another class{f': {sorted(otherwise)}' if otherwise else ''}. The "
        "share is that of the weights."
    )


def without_onset(metrics: FeatureMetrics, tau: float) -> str:
    """Return what to do where most features that fire never reach `tau`; "" where they do."""
    quiet = metrics.alive & (metrics.onset_count == 0)
    alive = int(metrics.alive.sum())
    if 2 * int(quiet.sum()) <= alive:
        return ""
    onset = proposed_onset(metrics)
    return (
        f"{int(quiet.sum())} of {alive} features that fire stay below the onset threshold of "
        f"{tau:g} in every episode, so they have neither onsets nor runs and their class says "
        f"little. Half of the features reach {2 * onset:.2g}: try --tau {onset:.1g}."
    )


def proposed_onset(metrics: FeatureMetrics) -> float:
    """Return half of the peak that half of the features that fire reach: an onset threshold."""
    return float(np.median(metrics.magnitude[metrics.alive])) / 2


def _given_labels(args: argparse.Namespace, bundle: SaeBundle) -> dict[int, str]:
    if args.labels is None:
        return {}
    size = bundle.sae.dictionary_size
    return dict(GeneralityLabels.load(args.labels, bundle.bundle_id, size).labels)


def _classifier(
    args: argparse.Namespace, measured: Measured, given: Mapping[int, str], console: Console
) -> GeneralityClassifier:
    if not given:
        return GeneralityClassifier.published(args.classifier)
    features = list(given)
    metrics = np.stack([getattr(measured.metrics, name)[features] for name in METRICS], axis=1)
    general = [said == "general" for said in given.values()]
    right, n = leave_one_out_accuracy(metrics, general)
    console.print(f"fitted to {n} labels; leave-one-out accuracy {right}/{n}")
    return GeneralityClassifier.fit(metrics, general)


def _record(
    args: argparse.Namespace,
    measured: Measured,
    classifier: GeneralityClassifier,
    share: Share,
    said: Mapping[int, str],
) -> dict[str, Any]:
    """Return the content of generality.json: what the classes in the catalogue were made with."""
    return {
        "bundle_id": measured.bundle.bundle_id,
        "episodes": len(measured.statistics.length),
        "tau": args.tau,
        "classifier": "own labels" if args.labels else args.classifier,
        "intercept": classifier.intercept,
        "weights": dict(zip(METRICS, classifier.weights, strict=True)),
        "general_share": {"value": share.value, "low": share.low, "high": share.high},
        "labels": {str(feature): kind for feature, kind in sorted(said.items())},
        "magnitude": measured.metrics.magnitude.tolist(),  # the one metric no catalogue has
    }


def _table(catalogue: Catalogue, probability: np.ndarray) -> Table:
    """Return the features with the largest P(general)."""
    table = Table(title=f"most general features of {catalogue.site}")
    for column in ("feature", "P(general)", "coverage", "onsets", "run / length", "label"):
        table.add_column(column, justify="left" if column == "label" else "right")
    order = np.argsort(-np.nan_to_num(probability, nan=-1.0), kind="stable")[:_LISTED]
    for entry in (catalogue.get(int(feature)) for feature in order):
        assert entry is not None
        if entry.feature_class == "dead":
            break
        table.add_row(
            str(entry.feature),
            f"{entry.general_probability:.3f}",
            f"{entry.coverage:.2f}",
            f"{entry.onset_count:.2f}",
            f"{entry.relative_run_length:.2f}",
            entry.label,
        )
    return table


def _in_words(name: str, measured: Measured, share: Share) -> str:
    alive = int(measured.metrics.alive.sum())
    return (
        f"{name}: {round(share.value * alive)} general of {alive} features that fire = "
        f"{share.value:.1%} (95 % interval {share.low:.1%} to {share.high:.1%}), "
        f"{len(measured.metrics.coverage) - alive} never fire, over "
        f"{len(measured.statistics.length)} episodes"
    )
