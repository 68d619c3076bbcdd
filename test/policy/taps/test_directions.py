"""Steering along directions that are no features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.taps.directions import direction_bundle, gaussian_direction, redirected
from vla_sae_ros.sae import SaeBundle

FRAME = {
    "observation.images.agentview": np.full((256, 256, 3), 90, np.uint8),
    "observation.images.wrist": np.full((256, 256, 3), 30, np.uint8),
    "observation.state": np.linspace(-1, 1, 8).astype(np.float32),
}
SITE = "expert.0"


def residual_change(
    loaded: LoadedPolicy, bundle: SaeBundle, edit: AppliedEdit
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return dx and x (T, d) after the site at the last run, and ||dx|| / ||x|| as read out."""
    seen: list[torch.Tensor] = []
    streams = []
    ratio = 0.0
    for edits in ({}, {bundle.card.site: (edit,)}):
        engine = PolicyEngine(loaded, [bundle])
        try:
            engine.attach_probe(bundle.card.site, False, lambda x, _norm: seen.append(x.clone()))
            ratio = engine.infer(FRAME, "go", (1, 2), Snapshot(0, edits)).sites[0].edit_norm_ratio
        finally:
            engine.close()
        streams.append(seen.pop().numpy().astype(np.float64))
    return streams[1] - streams[0], streams[0], ratio


def last_run_only(loaded: LoadedPolicy, mode: Mode, feature: int, value: float) -> AppliedEdit:
    # Only the last run: an edit of earlier ones changes what the last one reads.
    return AppliedEdit(feature, mode, value, 1.0, (), (loaded.config.num_steps - 1,))


@pytest.mark.parametrize("mode", [Mode.CLAMP, Mode.ADD])
@pytest.mark.parametrize("pooling", ["mean", "token"])
def test_a_redirected_feature_changes_the_stream_as_far_as_itself_along_the_direction(
    loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle], mode: Mode, pooling: str
) -> None:
    bundle = make_bundle(loaded, SITE, pooling)
    direction = gaussian_direction(bundle.card.d_in, 0, 3)
    edit = last_run_only(loaded, mode, 5, 3.0)
    own, _, own_ratio = residual_change(loaded, bundle, edit)
    other, _, ratio = residual_change(loaded, redirected(bundle, {5: 7.0 * direction}), edit)
    lengths = np.linalg.norm(other, axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(own, axis=1), rtol=1e-5)
    assert ratio == pytest.approx(own_ratio, rel=1e-6) and ratio > 0
    np.testing.assert_allclose(other @ direction, lengths, rtol=1e-5)
    row = bundle.sae.W_dec[5].numpy()
    np.testing.assert_allclose(own @ row, np.linalg.norm(own, axis=1), rtol=1e-4)


def test_a_redirected_bundle_reads_the_same_and_leaves_the_original(
    loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle]
) -> None:
    bundle = make_bundle(loaded, SITE)
    before = bundle.bundle_id
    other = redirected(bundle, {0: np.ones(bundle.card.d_in)})
    assert bundle.bundle_id == before != other.bundle_id
    x = torch.randn(4, bundle.card.d_in)
    assert torch.equal(bundle.sae.encode(x), other.sae.encode(x))
    assert torch.equal(bundle.sae.W_dec[1:], other.sae.W_dec[1:])


def test_a_bare_direction_moves_every_token_by_the_same_share_of_its_norm(
    loaded: LoadedPolicy,
) -> None:
    engine = PolicyEngine(loaded)
    place = engine.adapter.sites[SITE]
    engine.close()
    direction = gaussian_direction(place.width, 1, 0)
    bundle = direction_bundle(place, direction[None], loaded.policy_id, loaded.name)
    value = 0.25 * bundle.residual_norm_activation
    dx, x, ratio = residual_change(loaded, bundle, last_run_only(loaded, Mode.ADD, 0, value))
    np.testing.assert_allclose(dx @ direction, 0.25 * np.linalg.norm(x, axis=1), rtol=1e-4)
    assert ratio == pytest.approx(0.25, rel=1e-5)


def test_the_last_backbone_layer_changes_no_action_to_the_bit(loaded: LoadedPolicy) -> None:
    plain = PolicyEngine(loaded)
    wanted = plain.infer(FRAME, "go", (1, 2)).actions
    places = plain.adapter.sites
    plain.close()
    last = [name for name, site in places.items() if not site.can_steer]
    assert last == ["backbone.2"]
    for name in ("backbone.2", "backbone.1"):
        directions = gaussian_direction(places[name].width, 0, 0)[None]
        bundle = direction_bundle(places[name], directions, loaded.policy_id, loaded.name)
        engine = PolicyEngine(loaded, [bundle])
        edit = AppliedEdit(0, Mode.ADD, bundle.residual_norm_activation, 1.0)
        actions = engine.infer(FRAME, "go", (1, 2), Snapshot(0, {name: (edit,)})).actions
        engine.close()
        assert np.array_equal(actions, wanted) == (name in last)


def test_gaussian_directions_are_units_and_repeat() -> None:
    first, again = gaussian_direction(96, 0, 1), gaussian_direction(96, 0, 1)
    assert np.array_equal(first, again) and np.linalg.norm(first) == pytest.approx(1.0)
    assert abs(first @ gaussian_direction(96, 0, 2)) < 0.5


@pytest.mark.parametrize("direction", [np.zeros(48), np.ones(3), np.full(48, np.nan)])
def test_what_is_no_direction_is_refused(
    loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle], direction: np.ndarray
) -> None:
    bundle = make_bundle(loaded, "backbone.0")
    with pytest.raises(ConfigurationError, match="a direction"):
        redirected(bundle, {0: direction})
    with pytest.raises(ConfigurationError, match="feature"):
        redirected(bundle, {9999: np.ones(48)})
