"""From collected activations to an SAE bundle: train, measure on held-out episodes, describe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.format import EpisodeRecord
from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.sae import SaeBundle, SparseAutoencoder
from vla_sae_ros.sae.bundle import BundleCard
from vla_sae_ros.sae.kinds.samples import Samples
from vla_sae_ros.sae.objectives.training_settings import TrainingSettings
from vla_sae_ros.sae.training.checkpoint import Checkpoint, run_id
from vla_sae_ros.sae.training.metrics import Metrics, evaluate, sink_metrics
from vla_sae_ros.sae.training.processes import Processes
from vla_sae_ros.sae.training.training import Training, train
from vla_sae_ros.study.autoencoders.training_log import TrainingLog
from vla_sae_ros.study.features.feature_statistics import feature_statistics
from vla_sae_ros.study.features.labels.evidence_labels import EvidenceLabel, evidence_labels
from vla_sae_ros.study.features.split_variables import SplitPart, with_variables

CHECKPOINT_FILE = "checkpoint.safetensors"
SAME_ROW = 0.9
"""Cosine from which on a decoder row counts as the one that training started from."""


def train_bundle(
    dataset: ActivationDataset,
    site: str,
    settings: TrainingSettings,
    held_out: float = 0.1,
    device: str | torch.device = "cpu",
    progress: bool = True,
    run_folder: Path | None = None,
    processes: Processes | None = None,
    start: SaeBundle | None = None,
) -> SaeBundle:
    """Train on most episodes, measure on the held-out share, describe the features.

    The metrics `fvu`, `l0` and `fvu_training` are of the held-out and the training episodes;
    `dead_share` is the share of features that never fire on the training episodes. With
    `run_folder`, checkpoints are kept there and an interrupted run goes on. With `start` training
    begins at that bundle's weights; its labels, classes and verdicts are not taken over.
    """
    training_episodes, held_out_episodes = dataset.split(held_out, settings.seed)
    training, validation = with_variables(
        dataset.load(site, training_episodes),
        dataset.load(site, held_out_episodes),
        dataset.collection.control_rate,
        dataset.collection.state_names,
    )
    first = start.sae if start else None
    rows = training.data.rows
    trained = _train(rows, settings, device, progress, run_folder, processes, first)
    sae = trained.sae.to("cpu")
    on_training, on_held_out = (evaluate(sae, one.data.rows) for one in (training, validation))
    norm, norm_over = training.data.mean_residual_norm(on_training.mean_norm)
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
            "fvu_by_task": fvu_by_task(sae, dataset, site, held_out_episodes),
            "training": {**asdict(settings), "steps": trained.steps},
            **(_what_became_of(start, sae) if start else {}),
        },
        metrics=_metrics(on_training, on_held_out),
    )
    return SaeBundle(sae, card, _describe(sae, site, training, validation))


def _train(
    rows: Samples,
    settings: TrainingSettings,
    device: str | torch.device,
    progress: bool,
    run_folder: Path | None,
    processes: Processes | None,
    start: SparseAutoencoder | None,
) -> Training:
    if run_folder is None:
        return train(rows, settings, device, progress, processes=processes, start=start)
    checkpoint = Checkpoint(run_folder / CHECKPOINT_FILE, run_id(settings, rows, start))
    log = TrainingLog(run_folder) if processes is None or processes.is_first else None
    trained = train(rows, settings, device, progress, checkpoint, log, processes, start)
    if log is not None:
        log.close()
    return trained


def _what_became_of(start: SaeBundle, sae: SparseAutoencoder) -> dict[str, object]:
    """Return where training began, and how many decoder rows still point where they did."""
    cosine = torch.cosine_similarity(start.sae.W_dec, sae.W_dec, dim=1)
    return {
        "started_from": {
            "sae": start.bundle_id,
            "policy_id": start.card.policy_id,
            "rows_kept": int((cosine >= SAME_ROW).sum()),
            "median_cosine": float(cosine.median()),
        }
    }


def fvu_by_task(
    sae: SparseAutoencoder,
    dataset: ActivationDataset,
    site: str,
    episodes: Sequence[EpisodeRecord],
) -> dict[str, float]:
    """Return the FVU over the episodes of each instruction, about that instruction's own mean.

    Of ordinary samples, without attention sinks; NaN where all samples are the same, as one is.
    """
    by_task: dict[str, list[EpisodeRecord]] = {}
    for episode in episodes:
        by_task.setdefault(episode.instruction, []).append(episode)
    return {
        task: evaluate(sae, dataset.load(site, own).rows).fvu_ordinary
        for task, own in sorted(by_task.items())
    }


def _metrics(training: Metrics, held_out: Metrics) -> dict[str, float]:
    return {
        "fvu": held_out.fvu,
        "l0": held_out.l0,
        "dead_share": training.dead_share,
        "dead_share_held_out": held_out.dead_share,
        "fvu_training": training.fvu,
        **sink_metrics(held_out),
    }


def _describe(
    sae: SparseAutoencoder, site: str, training: SplitPart, validation: SplitPart
) -> Catalogue:
    """Describe every feature: named on held-out evidence, ranges over all episodes together."""
    first = feature_statistics(sae, training.data, training.variables)
    second = feature_statistics(sae, validation.data, validation.variables)
    labels = evidence_labels(first, second, training.variables)
    largest = np.maximum(first.observed_max, second.observed_max)
    episodes = training.episode_count + validation.episode_count
    coverage = (first.episodes + second.episodes) / episodes
    inferences = len(training.data.steps) + len(validation.data.steps)
    density = (first.inferences + second.inferences) / inferences
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
                density=float(density[feature]),
                label_source="evidence" if feature in labels else "",
            )
            for feature in range(len(largest))
        ),
    )
