"""An SAE whose features read one axis each, and episodes in which these follow what is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from vla_sae_ros.activations.archive import EpisodeArchive
from vla_sae_ros.activations.format import CollectedSite, Collection
from vla_sae_ros.activations.frames import FRAMES_FOLDER, frame_name, small_jpeg
from vla_sae_ros.activations.writer import ActivationWriter
from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.sae import SaeBundle, TopKSAE
from vla_sae_ros.sae.bundle import BundleCard

WIDTH, SITE, POLICY = 6, "expert.0", "0123abcd"
CLOSED, CARRYING, NOISE, RARE, NAMED, SILENT = range(WIDTH)
HELD_OUT = ("e1", "e4", "e7", "e10")
EPISODES, INFERENCES, EVERY = 12, 20, 5
BUTTER = "pick up the butter and place it in the basket"


def planted_bundle(folder: Path, label: str = "mine") -> Path:
    """Write the bundle; feature NAMED has a person's label."""
    sae = TopKSAE(
        torch.eye(WIDTH), torch.zeros(WIDTH), torch.eye(WIDTH), torch.zeros(WIDTH), WIDTH, "none"
    )
    data = {
        "held_out_episodes": list(HELD_OUT),
        "training_samples": 160,
        "training_episodes": 8,
        "held_out_samples": 80,
        "fvu_by_task": {BUTTER: 0.02},
        "training": {"kind": "topk", "seed": 0},
    }
    card = BundleCard(
        POLICY,
        "tiny",
        SITE,
        WIDTH,
        WIDTH,
        WIDTH,
        "mean",
        ("action",),
        "none",
        1.0,
        1.0,
        data,
        {"fvu": 0.03, "fvu_training": 0.02, "l0": 3.0, "dead_share": 1 / 6},
    )
    person = FeatureEntry(NAMED, label=label, label_source="person", observed_max=2.0, notes="hm")
    SaeBundle(sae, card, Catalogue(SITE, [person])).save(folder)
    return folder


def collect_planted(
    folder: Path,
    policy_id: str = POLICY,
    episodes: int = EPISODES,
    frames: bool = False,
    site: str = SITE,
) -> Path:
    """Episodes that close the gripper, carry the butter over the basket and let it fall."""
    random = np.random.default_rng(0)
    sites = {site: CollectedSite(WIDTH, "mean", ("action",))}
    with ActivationWriter(folder, Collection(policy_id, "tiny", sites, 20.0)) as writer:
        for number in range(episodes):
            name, close_at = f"e{number}", int(random.integers(3, 8))
            carry, open_at = close_at + 3, close_at + 11
            for t in range(INFERENCES):
                closed, carried = close_at <= t < open_at, carry <= t < open_at - 2
                x = np.full(WIDTH, -1.0)
                x[CLOSED] = 2.0 if closed else -1.0
                x[NAMED] = 1.0 if closed else -1.0
                x[CARRYING] = 3.0 + 0.01 * number if carried else -1.0
                x[NOISE] = random.uniform(0.1, 1)
                x[RARE] = 4.0 if number == 2 and t == 7 else -1.0
                writer(site, x, _context(name, t, closed, carry <= t < open_at, carried))
            writer.end_episode(success=True)
            if frames:
                with EpisodeArchive(folder, FRAMES_FOLDER, name) as archive:
                    for t in range(INFERENCES):
                        archive.add(frame_name(t * EVERY), _frame(t))
    return folder


def _context(name: str, t: int, closed: bool, lifted: bool, carried: bool) -> dict[str, object]:
    butter = (0.0, 0.0 if not lifted or carried else 0.5, 0.3 if lifted else 0.0)
    state = np.array([0.0, 0.0, 0.4 if lifted else 0.1, 0, 0, 0, 0.01, -0.01])
    state[6:] = (0.01, -0.01) if closed else (0.04, -0.04)
    return {
        "episode_id": name,
        "step": t * EVERY,
        "instruction": BUTTER,
        "state": state,
        "object_positions": {"butter_1": butter, "basket_1": (0.0, 0.5, 0.0)},
    }


def _frame(t: int) -> bytes:
    return small_jpeg([np.full((32, 32, 3), 10 * t, np.uint8)], 16)
