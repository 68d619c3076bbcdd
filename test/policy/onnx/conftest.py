"""One export of the tiny policy, with SAEs of both poolings and of two kinds on two sites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.export.writing import Source, write_export
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sae.kinds.jumprelu import JumpReLUSAE

PLACES = (("backbone.1", "token"), ("expert.0", "mean"))


@pytest.fixture(scope="session")
def bundle_folders(
    loaded: LoadedPolicy,
    make_bundle: Callable[..., SaeBundle],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Path]:
    """Bundle folders for PLACES; the first of them has a JumpReLU SAE."""
    parent = tmp_path_factory.mktemp("bundles")
    folders = []
    for site, pooling in PLACES:
        bundle = make_bundle(loaded, site, pooling)
        if site == "backbone.1":
            bundle = _with_jumprelu(bundle)
        folders.append(parent / site)
        bundle.save(folders[-1])
    return folders


def _with_jumprelu(bundle: SaeBundle) -> SaeBundle:
    sae = bundle.sae
    threshold = torch.full((sae.dictionary_size,), 0.4)
    jumping = JumpReLUSAE(
        sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec, threshold, sae.normalization, k=8
    )
    return SaeBundle(jumping, replace(bundle.card, k=8), bundle.catalogue)


@pytest.fixture(scope="session")
def bundles(bundle_folders: list[Path]) -> list[SaeBundle]:
    return [SaeBundle.load(folder) for folder in bundle_folders]


@pytest.fixture(scope="session")
def export_folder(
    loaded: LoadedPolicy,
    bundles: list[SaeBundle],
    bundle_folders: list[Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The tiny policy exported with the bundles of PLACES."""
    folder = tmp_path_factory.mktemp("export") / "onnx"
    write_export(Source(loaded, tuple(bundles), tuple(bundle_folders)), folder)
    return folder


@pytest.fixture(scope="session")
def frame() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "observation.images.agentview": random.integers(0, 256, (256, 256, 3), dtype=np.uint8),
        "observation.images.wrist": random.integers(0, 256, (200, 256, 3), dtype=np.uint8),
        "observation.state": random.normal(size=8).astype(np.float32),
    }
