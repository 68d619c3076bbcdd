"""What the benches of taps share: random SAEs, 16 edits, an observation; no ROS in here."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.steering import AppliedEdit, Mode
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.policy.tiny.tiny_pi import PiSize, build_tiny_pi, save_tiny_pi
from vla_sae_ros.sae import SaeBundle, TopKSAE
from vla_sae_ros.sae.bundle import BundleCard

EDITS = 16


def given_policy(
    policy: Path, bundles: Sequence[Path], width: int
) -> tuple[LoadedPolicy, list[SaeBundle]]:
    """Load a policy and its SAEs; with a width, a random pi0.5 of this width in their place."""
    if not width:
        return load_policy(policy), [SaeBundle.load(one) for one in bundles]
    with tempfile.TemporaryDirectory() as folder:
        made = random_pi05(Path(folder), width)
        return load_policy(Path(folder)), made


def random_pi05(folder: Path, width: int) -> list[SaeBundle]:
    """Write a random pi0.5 of this width; return a random SAE of its backbone, and its expert."""
    size = PiSize(
        image_size=112,
        patch_size=14,
        vision_width=width,
        backbone_width=width,
        expert_width=width // 2,
        layers=8,
        head_width=width // 8,
        mlp_width=4 * width,
        chunk=10,
        denoising_steps=10,
    )
    values = {"mean": 0.0, "std": 1.0, "q01": -9.0, "q99": 9.0}
    stats = {
        key: {name: torch.full((count,), value) for name, value in values.items()}
        for key, count in (("observation.state", 8), ("action", 7))
    }
    save_tiny_pi(build_tiny_pi("pi05", size), size, stats, folder)
    engine = PolicyEngine(load_policy(folder))
    return [
        random_bundle(engine, engine.adapter.sites[name], 2048, 64, number)
        for number, name in enumerate(("backbone.3", "expert.3"))
    ]


def random_bundle(engine: PolicyEngine, site: Site, size: int, k: int, seed: int) -> SaeBundle:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.nn.functional.normalize(torch.randn(size, site.width, generator=generator))
    sae = TopKSAE(rows.T, torch.zeros(size), rows, torch.zeros(site.width), k, "layer_norm")
    card = BundleCard(
        engine.policy_id,
        engine.policy_name,
        site.name,
        site.width,
        size,
        k,
        "mean",
        site.token_groups,
        "layer_norm",
        3.0,
        1.0,
    )
    entries = [FeatureEntry(feature, observed_max=2.0) for feature in range(size)]
    return SaeBundle(sae, card, Catalogue(site.name, entries))


def random_bundles(engine: PolicyEngine, given: list[SaeBundle]) -> list[SaeBundle]:
    """Return, for each bundle, a random one of its size on another site of the same stack."""
    taken = {bundle.card.site for bundle in given}
    bundles = []
    for bundle in given:
        stack = bundle.card.site.split(".")[0]
        free = [site for site in engine.adapter.sites.values() if site.name.startswith(stack)]
        site = next(site.name for site in free if site.can_steer and site.name not in taken)
        taken.add(site)
        random_one = random_bundle(
            engine,
            engine.adapter.sites[site],
            bundle.sae.dictionary_size,
            bundle.card.k,
            len(bundles),
        )
        bundles.append(random_one)
    return bundles


def edits(engine: PolicyEngine) -> dict[str, tuple[AppliedEdit, ...]]:
    sites = [site for site in engine.steering_sites() if site.can_steer]
    each = EDITS // len(sites)
    made = {}
    for site in sites:
        alive = np.argsort(site.observed_max)[::-1][:each]
        made[site.name] = tuple(
            AppliedEdit(int(f), Mode.CLAMP, float(site.observed_max[f]), 1.0) for f in alive
        )
    return made


def frame_of(engine: PolicyEngine) -> dict[str, np.ndarray]:
    random_numbers = np.random.default_rng(0)
    frame = {}
    for key, feature in engine.loaded.policy.config.input_features.items():
        if feature.type.name == "VISUAL":
            frame[key] = random_numbers.integers(0, 256, (256, 256, 3), dtype=np.uint8)
        else:
            frame[key] = random_numbers.normal(size=feature.shape).astype(np.float32)
    return frame
