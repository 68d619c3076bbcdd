"""Directions beside the features of one site: read apart, edited together, held to one cap."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.steering import AppliedEdit, Edit, Mode, Snapshot, Steering
from vla_sae_ros.policy.batch_engine import BatchEngine, Row
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.taps.joint import joint_change
from vla_sae_ros.policy.taps.tap import Tap
from vla_sae_ros.policy.taps.tokens import Tokens
from vla_sae_ros.policy.tiny.random_bundle import random_bundle
from vla_sae_ros.policy.tiny.tiny_smolvla import CAMERA_KEYS
from vla_sae_ros.sae import Directions, SaeBundle, TopKSAE
from vla_sae_ros.sae.bundle import BundleCard

WIDTH, TOKENS = 8, 5
SITE = Site("backbone.0", WIDTH, ("camera",), 1)
NO_CAP = float("inf")
PLACE, BESIDE = "backbone.0", "backbone.0.directions"


def rows(width: int, count: int = 2) -> Tensor:
    draw = torch.Generator().manual_seed(5)
    return torch.nn.functional.normalize(torch.randn(count, width, generator=draw), dim=1)


def tap() -> Tap:
    sae = Directions.of_rows(rows(WIDTH), torch.tensor([0.3, -1.0]), torch.tensor([2.0, 0.5]))
    return Tap(SITE, sae, True, (), BESIDE)


def sae_tap() -> Tap:
    decoder = rows(WIDTH, 6)
    sae = TopKSAE(decoder.T.contiguous(), torch.zeros(6), decoder, torch.zeros(WIDTH), 3, "none")
    return Tap(SITE, sae, True)


def tokens() -> Tokens:
    return Tokens(lambda: {"camera": torch.ones(1, TOKENS).bool()})


def stream() -> Tensor:
    return torch.randn(1, TOKENS, WIDTH, generator=torch.Generator().manual_seed(6))


def projection(x: Tensor, direction: int) -> float:
    return float(x[0].mean(0) @ rows(WIDTH)[direction])


def after(edits: tuple[AppliedEdit, ...]) -> Tensor:
    one, x = tap(), stream()
    one.begin(tokens(), edits, NO_CAP)
    delta = one(x)
    assert delta is not None
    return x + delta


def test_a_clamp_puts_the_projection_at_so_many_spreads_from_its_mean() -> None:
    changed = after((AppliedEdit(0, Mode.CLAMP, -1.5, 1.0),))
    assert projection(changed, 0) == pytest.approx(0.3 - 1.5 * 2.0, abs=1e-5)


def test_an_add_moves_the_projection_by_so_many_spreads() -> None:
    changed = after((AppliedEdit(1, Mode.ADD, 3.0, 1.0),))
    assert projection(changed, 1) - projection(stream(), 1) == pytest.approx(1.5, abs=1e-5)


def test_projecting_out_leaves_nothing_along_the_direction_in_any_token() -> None:
    changed = after((AppliedEdit(1, Mode.PROJECT_OUT, 0.0, 1.0),))
    np.testing.assert_allclose(changed[0] @ rows(WIDTH)[1], 0.0, atol=1e-6)


def test_a_readout_lists_every_projection_with_its_sign() -> None:
    one, x = tap(), stream()
    one.begin(tokens(), (AppliedEdit(0, Mode.ADD, -4.0, 1.0),), NO_CAP)
    one(x)
    readout = one.reading().readout()
    expected = [(projection(x, 0) - 0.3) / 2.0, (projection(x, 1) + 1.0) / 0.5]
    assert readout.site == BESIDE
    np.testing.assert_array_equal(readout.index, [0, 1])
    np.testing.assert_allclose(readout.natural, expected, atol=1e-5)
    np.testing.assert_allclose(readout.applied, [expected[0] - 4.0, expected[1]], atol=1e-5)
    assert np.isnan(readout.fvu)


def test_two_taps_of_a_layer_read_the_stream_as_it_came_and_add_up() -> None:
    x, both = stream(), (sae_tap(), tap())
    edits = ((AppliedEdit(2, Mode.ADD, 5.0, 1.0),), (AppliedEdit(0, Mode.CLAMP, 2.0, 1.0),))
    apart = []
    for one, own in zip((sae_tap(), tap()), edits, strict=True):
        one.begin(tokens(), own, NO_CAP)
        apart.append(one(x))
    for one, own in zip(both, edits, strict=True):
        one.begin(tokens(), own, NO_CAP)
    together = joint_change(both, x)
    assert together is not None
    torch.testing.assert_close(together, apart[0] + apart[1])
    assert both[1].reading().readout().natural[0] == pytest.approx(
        (projection(x, 0) - 0.3) / 2.0, abs=1e-5
    )


def test_the_cap_holds_for_both_kinds_together_and_both_say_so() -> None:
    x, both, cap = stream(), (sae_tap(), tap()), 0.1
    for one in both:
        # Each alone stays below the cap; along the same row, together they do not.
        one.begin(tokens(), (AppliedEdit(0, Mode.ADD, 0.1, 1.0),), cap)
    changed = joint_change(both, x)
    assert changed is not None
    ratio = changed.norm(dim=-1) / x.norm(dim=-1)
    assert float(ratio.max()) <= cap * (1 + 1e-5)
    for one in both:
        readout = one.reading().readout()
        assert readout.capped == bool((ratio >= cap * (1 - 1e-5)).any())
        assert readout.edit_norm_ratio == pytest.approx(float(ratio.mean()), rel=1e-4)


def pair(loaded: LoadedPolicy) -> tuple[SaeBundle, SaeBundle]:
    """An SAE and directions of the same site of the tiny policy."""
    width = PolicyEngine(loaded).adapter.sites[PLACE].width
    sae = Directions.of_rows(rows(width), torch.zeros(2), torch.full((2,), 0.5))
    card = BundleCard(
        loaded.policy_id,
        "tiny",
        BESIDE,
        width,
        2,
        2,
        "mean",
        ("camera", "language"),
        "none",
        width**0.5,
        1.0,
        kind="directions",
    )
    entries = [FeatureEntry(0, observed_max=3.0), FeatureEntry(1, observed_max=3.0)]
    return (
        random_bundle(loaded.policy_id, PLACE, width),
        SaeBundle(sae, card, Catalogue(BESIDE, entries)),
    )


def frame(engine: PolicyEngine) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {
        name: draw.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        if name in CAMERA_KEYS
        else draw.normal(size=engine.loaded.policy.config.input_features[name].shape).astype(
            np.float32
        )
        for name in engine.input_features
    }


def test_one_request_sets_edits_of_both_kinds_at_one_site(loaded: LoadedPolicy) -> None:
    engine = PolicyEngine(loaded, pair(loaded))
    try:
        steering = Steering(engine.steering_sites())
        request = [Edit(3, Mode.CLAMP, 4.0, PLACE), Edit(1, Mode.ADD, -3.0, BESIDE)]
        steering.set(request, "test", (), 10.0, None)
        snapshot = steering.begin_inference(1000.0, 0.0)
        assert set(snapshot.edits) == {PLACE, BESIDE}
        seen, seed = frame(engine), (1, 0)
        plain, steered = (engine.infer(seen, "go", seed, one) for one in (Snapshot(), snapshot))
        assert [one.site for one in steered.sites] == [PLACE, BESIDE]
        assert not np.array_equal(plain.actions, steered.actions)
        for before, now in zip(plain.sites, steered.sites, strict=True):
            kept = np.isin(now.index, before.index)
            np.testing.assert_allclose(
                now.natural[kept], before.natural[np.isin(before.index, now.index)], atol=1e-5
            )
    finally:
        engine.close()


def test_with_directions_on_the_policy_and_no_edit_actions_stay_to_the_bit(
    loaded: LoadedPolicy,
) -> None:
    bare = PolicyEngine(loaded)
    seen = frame(bare)
    expected = bare.infer(seen, "go", (1, 0)).actions
    bare.close()
    tapped = PolicyEngine(loaded, pair(loaded))
    try:
        assert np.array_equal(tapped.infer(seen, "go", (1, 0)).actions, expected)
    finally:
        tapped.close()


def test_a_batch_steers_both_kinds_as_a_row_alone_does(loaded: LoadedPolicy) -> None:
    bundles, edits = (
        pair(loaded),
        {
            PLACE: (AppliedEdit(3, Mode.CLAMP, 4.0, 1.0),),
            BESIDE: (AppliedEdit(1, Mode.ADD, -3.0, 1.0),),
        },
    )
    snapshot = Snapshot(edits=edits)
    alone = PolicyEngine(loaded, bundles)
    seen = frame(alone)
    expected = alone.infer(seen, "go", (1, 0), snapshot).actions
    alone.close()
    batch = BatchEngine(loaded)
    try:
        row = Row(seen, "go", batch.noise((1, 0)), snapshot, batch.taps(bundles))
        np.testing.assert_allclose(batch.infer([row])[0].actions, expected, atol=1e-5)
    finally:
        batch.close()


def test_two_bundles_of_directions_on_one_site_are_refused(loaded: LoadedPolicy) -> None:
    _, directions = pair(loaded)
    with pytest.raises(ConfigurationError, match="two bundles on one site"):
        PolicyEngine(loaded, (directions, directions))
