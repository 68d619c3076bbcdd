"""Episodes and collections whose scores are known, for the tests of monitors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from vla_sae_ros.activations.format import CollectedSite, Collection
from vla_sae_ros.activations.writer import ActivationWriter
from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.monitors.band import Band
from vla_sae_ros.monitors.card import MonitorCard, ScoreCard
from vla_sae_ros.monitors.monitor import Calibrated, Monitor
from vla_sae_ros.monitors.sample import Sample
from vla_sae_ros.monitors.scores import FvuScore, MahalanobisScore, ProbeScore
from vla_sae_ros.sae import SaeBundle, TopKSAE
from vla_sae_ros.sae.bundle import BundleCard
from vla_sae_ros.study.monitoring.episodes import MonitoredEpisode

WIDTH, SITE, RATE, INTERVAL = 6, "backbone.1", 20.0, 2
POLICY_ID = "0123456789abcdef"
BUNDLE_ID = "fedcba9876543210"
SOUP, BUTTER = "pick up the soup", "pick up the butter"


def episode(
    number: int, fvu: Sequence[float], success: bool = True, pooled: np.ndarray | None = None
) -> MonitoredEpisode:
    """Return an episode with these FVUs and (T, WIDTH) activations."""
    samples = tuple(
        Sample(INTERVAL * place, value, None if pooled is None else pooled[place])
        for place, value in enumerate(fvu)
    )
    end = INTERVAL * len(samples)
    return MonitoredEpisode(f"e{number}", "", success, samples, end, f"{number:016x}")


def axes_bundle() -> SaeBundle:
    """Return an SAE that explains all but what lies along the last axis."""
    rows = torch.cat([torch.eye(WIDTH)[:-1], -torch.eye(WIDTH)[:-1]])
    sae = TopKSAE(rows.T, torch.zeros(len(rows)), rows, torch.zeros(WIDTH), WIDTH - 1)
    card = BundleCard(
        policy_id=POLICY_ID,
        policy_name="planted",
        site=SITE,
        d_in=WIDTH,
        dictionary_size=len(rows),
        k=WIDTH - 1,
        pooling="mean",
        token_groups=("camera",),
        normalization="none",
        mean_residual_norm=1.0,
        mean_scale=1.0,
    )
    return SaeBundle(sae, card, Catalogue(SITE, []))


def write_collection(
    folder: Path, successes: int, failures: int, seed: int, policy_id: str = POLICY_ID
) -> Path:
    """Write episodes of noise; failing ones drift along the first axis from their middle on.

    A successful episode has 12 to 18 inferences, a failing one 20; the hand of a failing one stops
    in its middle.
    """
    draw = np.random.default_rng(seed)
    sites = {SITE: CollectedSite(WIDTH, "mean", ("camera",))}
    with ActivationWriter(folder, Collection(policy_id, "planted", sites, RATE)) as writer:
        for number in range(successes + failures):
            success, place = number < successes, 0.0
            length = int(draw.integers(12, 19)) if success else 20
            for step in range(length):
                late = not success and step >= 10
                x = draw.normal(size=WIDTH) + (8.0 if late else 0.0) * np.eye(WIDTH)[0]
                place += 0.0 if late else 0.01 * draw.uniform(0.5, 1.5)
                context = {
                    "episode_id": f"{seed}-{number}",
                    "step": INTERVAL * step,
                    "task": "libero_object 0",
                    "instruction": SOUP if number % 2 else BUTTER,
                    "state": (place, 0.0, 1.0, 0.0, 0.0, 0.0, 0.02, -0.02),
                }
                writer(SITE, x.astype(np.float32), context)
            writer.end_episode(success=success)
    return folder


def planted_monitor() -> Monitor:
    """Return a monitor of three scores."""
    draw = np.random.default_rng(0)
    knots = np.array([0.0, 20.0])
    scores = {
        "fvu": FvuScore(),
        "mahalanobis": MahalanobisScore(draw.normal(size=WIDTH), draw.normal(size=(WIDTH, WIDTH))),
        "probe": ProbeScore(knots, draw.normal(size=(2, WIDTH)), draw.normal(size=2)),
    }
    band = Band(knots, np.zeros(2), np.ones(2), 0.7)
    card = MonitorCard(
        policy_id=POLICY_ID,
        policy_name="planted",
        site=SITE,
        width=WIDTH,
        token_groups=("camera",),
        bundle_id=BUNDLE_ID,
        control_rate=RATE,
        interval=INTERVAL,
        false_alarms=0.1,
        rate_range=(0.05, 0.16),
        fit_episodes=20,
        failing_fit_episodes=4,
        calibration_episodes=30,
        score="fvu",
        scores=tuple(ScoreCard(name, 0.5, 0.7) for name in scores),
        seen=("00aa",),
    )
    return Monitor(card, {name: Calibrated(one, 0.5, band) for name, one in scores.items()})
