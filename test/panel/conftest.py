"""Qt without a screen, and a catalogue to show."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from vla_sae_ros.panel.guard import MISHAPS
from vla_sae_ros.panel.values import Activations, CatalogueView, Site

LABELS = ("gripper closes", "hand above basket", "soup in view", "")


@pytest.fixture(autouse=True)
def no_mishaps() -> Iterator[None]:
    """Fail a test in which a guard caught something."""
    before = MISHAPS.count
    yield
    assert MISHAPS.count == before, MISHAPS.last


@pytest.fixture
def make_catalogue() -> Callable[..., CatalogueView]:
    """Return a maker of two sites with `size` features each; feature 3 of each is dead."""

    def make(size: int = 4, can_steer: bool = True, policy: str = "policy-a") -> CatalogueView:
        count = 2 * size
        largest = np.full(count, 2.0, np.float32)
        largest[3::size] = 0.0
        return CatalogueView(
            policy_id=policy,
            sites=(Site("backbone.1", size, True), Site("expert.0", size, can_steer)),
            site_index=np.repeat([0, 1], size).astype(np.int32),
            feature=np.tile(np.arange(size), 2).astype(np.uint32),
            labels=tuple(LABELS[row % len(LABELS)] for row in range(count)),
            classes=tuple(("general", "memorized")[row % 2] for row in range(count)),
            descriptions=("",) * count,
            observed_max=largest,
        )

    return make


@pytest.fixture
def make_activations() -> Callable[..., Activations]:
    """Return a maker of one inference's activations: make(site, {feature: (natural, applied)})."""

    def make(site: str, values: dict[int, tuple[float, float]]) -> Activations:
        features = sorted(values)
        pairs = np.array([values[each] for each in features], np.float32).reshape(-1, 2)
        return Activations(
            site=site, episode_id="e", step=5, revision=1,
            index=np.array(features, np.uint32), natural=pairs[:, 0], applied=pairs[:, 1],
            edit_norm_ratio=0.1, capped=False, bypassed=False, inference_ms=140.0)

    return make
