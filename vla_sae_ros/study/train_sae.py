"""From a folder of collected activations to an SAE bundle, in one call."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sae import SaeBundle, SparseAutoencoder
from vla_sae_ros.sae.bundle import BundleCard, refuse_existing
from vla_sae_ros.sae.metrics import Metrics, evaluate
from vla_sae_ros.sae.normalization import NORMALIZATIONS
from vla_sae_ros.sae.training import train
from vla_sae_ros.sae.training_settings import TrainingSettings
from vla_sae_ros.study.activation_dataset import ActivationDataset, SiteActivations
from vla_sae_ros.study.evidence_labels import EvidenceLabel, evidence_labels
from vla_sae_ros.study.feature_statistics import feature_statistics
from vla_sae_ros.study.state_variables import StateVariable, state_variables

DEFAULT_EXPANSION = 4


@dataclass(frozen=True)
class _Split:
    """One part of the episodes with the state variables of its steps."""

    data: SiteActivations
    variables: list[StateVariable]


def train_bundle(
    dataset: ActivationDataset,
    site: str,
    settings: TrainingSettings,
    held_out: float = 0.1,
    device: str = "cpu",
    progress: bool = True,
) -> SaeBundle:
    """Train on most episodes, measure on the held-out share, describe the features.

    The metrics `fvu`, `l0` and `fvu_training` are of the held-out and the training episodes;
    `dead_share` is the share of features that never fire on the training episodes.
    """
    training_episodes, held_out_episodes = dataset.split(held_out, settings.seed)
    training, validation = _with_variables(
        dataset.load(site, training_episodes),
        dataset.load(site, held_out_episodes),
        dataset.collection.control_rate,
    )
    trained = train(training.data.rows, settings, device, progress)
    sae = trained.sae.to("cpu")
    on_training, on_held_out = (evaluate(sae, one.data.rows) for one in (training, validation))
    norm, norm_over = _mean_residual_norm(training.data, on_training)
    collection, read = dataset.collection, dataset.collection.sites[site]
    card = BundleCard(
        policy_id=collection.policy_id,
        policy_name=collection.policy_name,
        site=site,
        d_in=sae.d_in,
        dictionary_size=sae.dictionary_size,
        k=sae.k,
        pooling=read.pooling,
        token_groups=read.token_groups,
        normalization=sae.normalization,
        mean_residual_norm=norm,
        mean_scale=on_training.mean_scale,
        data={
            "training_samples": len(training.data.rows),
            "held_out_samples": len(validation.data.rows),
            "training_episodes": len(training_episodes),
            "held_out_episodes": [one.episode_id for one in held_out_episodes],
            "instructions": sorted({one.instruction for one in dataset.episodes}),
            "mean_residual_norm_over": norm_over,
            "training": {**asdict(settings), "steps": trained.steps},
        },
        metrics=_metrics(on_training, on_held_out),
    )
    return SaeBundle(sae, card, _describe(sae, site, training, validation))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `train-sae`."""
    defaults = TrainingSettings(dictionary_size=32)
    parser.add_argument("activations", type=Path, help="folder of collected activations")
    parser.add_argument("--out", type=Path, required=True, help="bundle folder to make")
    parser.add_argument("--site", help="site to train on; may be left out when there is only one")
    parser.add_argument(
        "--dictionary-size",
        type=int,
        help=f"number of features; default {DEFAULT_EXPANSION} times the width",
    )
    parser.add_argument(
        "--k", type=int, default=defaults.k, help="active features; default %(default)s"
    )
    parser.add_argument("--normalization", choices=NORMALIZATIONS, default=defaults.normalization)
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size)
    parser.add_argument("--epochs", type=int, help="default: about 4 million samples in all")
    parser.add_argument("--learning-rate", type=float, help="default: by dictionary size")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument(
        "--held-out", type=float, default=0.1, help="share of episodes; default 0.1"
    )
    parser.add_argument("--device", default="cpu", help="torch device; default %(default)s")


def run(args: argparse.Namespace) -> int:
    """Train one SAE as `args` say, write its bundle and print what came out."""
    refuse_existing(args.out)
    dataset = ActivationDataset.open(args.activations)
    site = _one_site(dataset, args.site)
    settings = TrainingSettings(
        dictionary_size=args.dictionary_size
        or DEFAULT_EXPANSION * dataset.collection.sites[site].width,
        k=args.k,
        normalization=args.normalization,
        batch_size=args.batch_size,
        epochs=args.epochs,
        learning_rate=args.learning_rate,
        seed=args.seed,
    )
    bundle = train_bundle(dataset, site, settings, args.held_out, args.device)
    bundle.save(args.out)
    print(summary(bundle, args.out))
    return 0


def summary(bundle: SaeBundle, folder: Path) -> str:
    """Return a few lines for a person: how good the SAE is and which features have a name."""
    metrics = bundle.card.metrics
    named = [one for one in bundle.catalogue.entries if one.label]
    lines = [
        f"SAE {bundle.bundle_id} of {bundle.card.policy_name} {bundle.card.site}: {folder}",
        f"held-out FVU {metrics['fvu']:.4f} (training {metrics['fvu_training']:.4f}), "
        f"L0 {metrics['l0']:.1f}, dead {metrics['dead_share']:.1%} "
        f"of {bundle.card.dictionary_size} features",
        f"{len(named)} features named by evidence" + (":" if named else "."),
    ]
    lines += [f"  {one.feature:6d}  {one.label}: {one.description}" for one in named[:10]]
    return "\n".join(lines)


def _one_site(dataset: ActivationDataset, given: str | None) -> str:
    sites = sorted(dataset.collection.sites)
    if given is None and len(sites) == 1:
        return sites[0]
    if given not in sites:
        raise ConfigurationError(complaint(f"--site for {dataset.folder}", given, sites))
    return given


def _with_variables(
    training: SiteActivations, validation: SiteActivations, control_rate: float
) -> tuple[_Split, _Split]:
    """Compute the variables over both parts at once, so that both have the same ones."""
    variables = state_variables(
        training.steps + validation.steps,
        np.concatenate([training.episode, validation.episode + _episode_count(training)]),
        control_rate,
    )
    cut = len(training.steps)
    return (
        _Split(training, [replace(one, values=one.values[:cut]) for one in variables]),
        _Split(validation, [replace(one, values=one.values[cut:]) for one in variables]),
    )


def _mean_residual_norm(data: SiteActivations, metrics: Metrics) -> tuple[float, str]:
    """Return the mean norm and over what: the tokens, where every inference recorded theirs."""
    norms = [one.residual_norm for one in data.steps]
    known = [norm for norm in norms if norm is not None]
    if len(known) == len(norms):
        return float(np.mean(known)), "tokens"
    return metrics.mean_norm, "samples"


def _metrics(training: Metrics, held_out: Metrics) -> dict[str, float]:
    return {
        "fvu": held_out.fvu,
        "l0": held_out.l0,
        "dead_share": training.dead_share,
        "dead_share_held_out": held_out.dead_share,
        "fvu_training": training.fvu,
    }


def _describe(sae: SparseAutoencoder, site: str, training: _Split, validation: _Split) -> Catalogue:
    """Describe every feature: named on held-out evidence, ranges over all episodes together."""
    first = feature_statistics(sae, training.data, training.variables)
    second = feature_statistics(sae, validation.data, validation.variables)
    labels = evidence_labels(first, second, training.variables)
    largest = np.maximum(first.observed_max, second.observed_max)
    episodes = _episode_count(training.data) + _episode_count(validation.data)
    coverage = (first.episodes + second.episodes) / episodes
    nameless = EvidenceLabel("", "")
    return Catalogue(
        site,
        (
            FeatureEntry(
                feature,
                label=labels.get(feature, nameless).label,
                description=labels.get(feature, nameless).description,
                feature_class="" if largest[feature] > 0 else "dead",
                observed_max=float(largest[feature]),
                coverage=float(coverage[feature]),
            )
            for feature in range(len(largest))
        ),
    )


def _episode_count(data: SiteActivations) -> int:
    return int(data.episode.max(initial=-1)) + 1
