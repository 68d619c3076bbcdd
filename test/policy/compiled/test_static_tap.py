"""A tap of static buffers, run eagerly, against the tap that plans its edits in Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from tiny_families import TinyFamily

from vla_sae_ros.core.errors import ObservationError
from vla_sae_ros.core.steering import AppliedEdit, Mode
from vla_sae_ros.policy.compiled.edit_buffers import SLOTS
from vla_sae_ros.policy.compiled.static_tap import StaticTap
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.taps.tap import Tap
from vla_sae_ros.policy.taps.tokens import Tokens
from vla_sae_ros.sae import JumpReLUSAE, SparseAutoencoder, TopKSAE

WIDTH, RUNS, TOKENS = 16, 3, 6
SITE = Site("expert.1", WIDTH, ("state", "action"), RUNS)
EDITS = {
    "clamp": (AppliedEdit(3, Mode.CLAMP, 4.0, 0.7),),
    "clamps of one feature": (
        AppliedEdit(3, Mode.CLAMP, 4.0, 0.7),
        AppliedEdit(3, Mode.CLAMP, -2.0, 0.3),
    ),
    "every mode": (
        AppliedEdit(3, Mode.CLAMP, 4.0, 1.0),
        AppliedEdit(5, Mode.ADD, 2.0, 0.5),
        AppliedEdit(9, Mode.SCALE, 3.0, 1.0),
        AppliedEdit(7, Mode.PROJECT_OUT, 0.0, 1.0),
        AppliedEdit(8, Mode.PROJECT_OUT, 0.0, 0.5),
    ),
    "scopes": (
        AppliedEdit(3, Mode.CLAMP, 4.0, 1.0, ("action",)),
        AppliedEdit(5, Mode.PROJECT_OUT, 0.0, 1.0, ("state",)),
        AppliedEdit(6, Mode.PROJECT_OUT, 0.0, 1.0, ("action",)),
    ),
    "denoising steps": (
        AppliedEdit(3, Mode.CLAMP, 4.0, 1.0, (), (1,)),
        AppliedEdit(5, Mode.PROJECT_OUT, 0.0, 1.0, (), (0, 1)),
        AppliedEdit(6, Mode.PROJECT_OUT, 0.0, 1.0, (), (1, 2)),
    ),
}


def masks() -> dict[str, torch.Tensor]:
    place = torch.arange(TOKENS)[None]
    return {"state": place < 1, "action": (place > 0) & (place < TOKENS - 1)}


def tokens() -> Tokens:
    return Tokens(masks)


def make_sae(kind: str) -> SparseAutoencoder:
    generator = torch.Generator().manual_seed(3)
    size = 4 * WIDTH
    rows = torch.randn(size, WIDTH, generator=generator)
    bias, centre = 0.1 * torch.randn(size, generator=generator), torch.randn(WIDTH)
    if kind == "topk":
        return TopKSAE(rows.T.clone(), bias, rows, centre, 5, "layer_norm")
    threshold = torch.rand(size, generator=generator)
    return JumpReLUSAE(rows.T.clone(), bias, rows, centre, threshold, "constant_norm_rescale")


def streams() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [torch.randn(1, TOKENS, WIDTH, generator=generator) for _ in range(RUNS)]


def run(tap: Tap, edits: tuple[AppliedEdit, ...], cap: float = float("inf")) -> list[torch.Tensor]:
    """Return the stream after the tap in every run."""
    tap.begin(tokens(), edits, cap)
    return [x if (delta := tap(x)) is None else x + delta for x in streams()]


@pytest.mark.parametrize("kind", ["topk", "jumprelu"])
@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("cap", [float("inf"), 0.3])
@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS)
def test_it_changes_and_reads_what_the_eager_tap_does(
    kind: str, pooled: bool, cap: float, edits: tuple[AppliedEdit, ...]
) -> None:
    sae = make_sae(kind)
    eager, static = Tap(SITE, sae, pooled), StaticTap(SITE, sae, pooled)
    run(static, EDITS["every mode"])  # what was there before must leave nothing
    expected, got = run(eager, edits, cap), run(static, edits, cap)
    for one, other in zip(expected, got, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-5)
    read, seen = eager.reading().readout(), static.reading().readout()
    assert read.index.tolist() == seen.index.tolist() and read.capped == seen.capped
    np.testing.assert_allclose(read.natural, seen.natural, atol=1e-5)
    np.testing.assert_allclose(read.applied, seen.applied, atol=1e-5)
    assert read.edit_norm_ratio == pytest.approx(seen.edit_norm_ratio, rel=1e-4)
    assert (read.fvu, read.residual_norm) == pytest.approx((seen.fvu, seen.residual_norm), rel=1e-4)


@pytest.mark.parametrize("kind", ["topk", "jumprelu"])
@pytest.mark.parametrize("pooled", [True, False])
def test_without_edits_every_bit_stays_signed_zeros_too(kind: str, pooled: bool) -> None:
    static = StaticTap(SITE, make_sae(kind), pooled)
    run(static, EDITS["every mode"], 0.1)
    static.begin(tokens(), (), 0.1)
    x = streams()[0]
    x[0, 0, 0], x[0, 1, 0] = 0.0, -0.0
    assert (x + static(x)).numpy().tobytes() == x.numpy().tobytes()


def test_a_reading_stays_when_the_next_inference_writes_the_buffers() -> None:
    static = StaticTap(SITE, make_sae("topk"), True)
    run(static, EDITS["clamp"])
    reading = static.reading()
    before = reading.readout()
    static.begin(tokens(), (), 0.1)
    for x in streams():
        static(-x)
    assert reading.readout().natural.tolist() == before.natural.tolist()


def test_it_pushes_along_another_decoder_as_a_tap_made_with_it_and_back_again() -> None:
    sae, other = make_sae("topk"), make_sae("topk")
    other.W_dec.detach()[3] = torch.arange(1.0, WIDTH + 1)
    static = StaticTap(SITE, sae, True)
    own = run(static, EDITS["clamp"])
    static.push_along(other)
    assert all(torch.equal(a, b) for a, b in zip(run(static, ()), streams(), strict=True))
    pushed = run(static, EDITS["clamp"])
    for one, another in zip(pushed, run(Tap(SITE, other, True), EDITS["clamp"]), strict=True):
        torch.testing.assert_close(one, another, atol=2e-5, rtol=1e-5)
    assert not torch.allclose(pushed[0], own[0], atol=1e-3)
    static.push_along(sae)
    assert all(torch.equal(a, b) for a, b in zip(run(static, EDITS["clamp"]), own, strict=True))


def test_more_edits_than_slots_are_refused_and_the_old_ones_stay() -> None:
    static = StaticTap(SITE, make_sae("jumprelu"), True)
    before = run(static, EDITS["clamp"])
    many = tuple(AppliedEdit(n % WIDTH, Mode.ADD, 1.0, 1.0) for n in range(SLOTS + 1))
    with pytest.raises(ObservationError, match="at most 64"):
        static.begin(tokens(), many, 1.0)
    after = run(static, EDITS["clamp"])
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert len(run(static, many[:SLOTS])) == RUNS


def test_another_number_of_tokens_than_it_was_made_for_is_refused() -> None:
    static = StaticTap(SITE, make_sae("topk"), True)
    run(static, ())
    shorter = {name: mask[:, :-1] for name, mask in masks().items()}
    with pytest.raises(ObservationError, match="as when it was compiled"):
        static.begin(Tokens(lambda: shorter), (), 1.0)


def test_it_asks_no_tensor_for_a_number_and_makes_no_shape_of_one(
    tiny: Callable[[str], TinyFamily],
) -> None:
    """What a CUDA graph cannot hold: under the fake mode such an operation raises."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    it = tiny("pi05")
    tap = it.tap("expert.1")
    static = StaticTap(tap.site, tap.sae, True)
    static.begin(Tokens(partial(it.adapter.token_masks, "expert.1", it.batch)), EDITS["clamp"], 1.0)
    x = torch.randn(1, it.noise.shape[1], tap.site.width)
    with FakeTensorMode(allow_non_fake_inputs=True):
        delta = static(x)
    assert delta.shape == x.shape
