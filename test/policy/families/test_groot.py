"""GR00T N1.7: what is its own, besides the tests of every family in `test_exactness`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tiny_families import LAYERS, NO_CAP, TinyFamily, a_groot_batch
from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.steering import AppliedEdit, Mode
from vla_sae_ros.policy.families.chunk import PreviousChunk
from vla_sae_ros.policy.taps.tokens import Tokens


@pytest.fixture
def it(tiny: Callable[[str], TinyFamily]) -> TinyFamily:
    return tiny("groot")


def stream(it: TinyFamily, site: str, batch: dict[str, Tensor] | None = None) -> Tensor:
    read: list[Tensor] = []
    handle = it.adapter.attach(site, lambda x: read.append(x.clone()))
    it.predict(batch)
    handle.remove()
    return read[0]


@pytest.mark.parametrize("layer", range(LAYERS))
def test_a_backbone_site_holds_the_pictures_features_that_qwen_adds_after_the_layer(
    it: TinyFamily, layer: int
) -> None:
    """Qwen3-VL adds one feature map per entry of `deepstack_visual_indexes`; here there are two."""
    put_out: list[Tensor] = []
    watch = it.layer(f"backbone.{layer}").register_forward_hook(
        lambda _module, _args, out: put_out.append(out.clone())
    )
    read = stream(it, f"backbone.{layer}")
    watch.remove()
    changed = (read != put_out[0]).any(-1)
    camera = it.adapter.token_masks(f"backbone.{layer}", it.batch)["camera"]
    assert torch.equal(changed, camera if layer < 2 else torch.zeros_like(camera))


@pytest.mark.parametrize("layer", range(LAYERS))
def test_padding_never_enters_what_is_read_of_the_backbone(it: TinyFamily, layer: int) -> None:
    site = f"backbone.{layer}"
    masks = it.adapter.token_masks(site, it.batch)
    real = masks["camera"] | masks["language"]
    streams = [stream(it, site, a_groot_batch(padding_id)) for padding_id in (0, 77)]
    assert torch.equal(streams[0][real], streams[1][real])
    assert not torch.equal(streams[0], streams[1])


def test_the_state_token_of_the_last_expert_layer_goes_nowhere(it: TinyFamily) -> None:
    masks = it.adapter.token_masks("expert.0", it.batch)
    plain = it.predict()

    def push(group: str, layer: int) -> Tensor:
        at = masks[group][..., None]
        return it.with_function(f"expert.{layer}", lambda x: torch.ones_like(x) * at)

    assert torch.equal(push("state", LAYERS - 1), plain)
    assert not torch.equal(push("state", 0), plain)


def test_a_new_chunk_is_blended_into_the_previous_one_and_steered_all_the_same(
    it: TinyFamily,
) -> None:
    plain = it.predict()
    previous = PreviousChunk(torch.full((1, 4, 7), 0.5), delay=2)
    pulled = it.predict(previous=previous)
    assert not torch.equal(pulled, plain)
    torch.testing.assert_close(pulled[:, :2], previous.actions[:, :2])
    pushed = it.with_function("expert.0", lambda x: torch.ones_like(x), previous)
    torch.testing.assert_close(pushed[:, :2], previous.actions[:, :2])
    assert not torch.equal(pushed, pulled)
    with pytest.raises(ConfigurationError, match="execution horizon"):
        it.predict(previous=PreviousChunk(previous.actions, 1, execution_horizon=3))


def test_a_previous_chunk_that_lerobot_would_ignore_is_refused(it: TinyFamily) -> None:
    it.policy.config.use_relative_actions = True
    try:
        with pytest.raises(ConfigurationError, match="relative to an older state"):
            it.predict(previous=PreviousChunk(torch.zeros(1, 4, 7), delay=1))
    finally:
        it.policy.config.use_relative_actions = False


def test_the_tap_computes_in_float32_while_the_policy_runs_under_autocast(it: TinyFamily) -> None:
    """lerobot runs GR00T under autocast to bfloat16: the SAE's products must not be."""
    it.policy.config.use_bf16 = True
    kinds: list[bool] = []
    try:
        plain = it.predict()
        tap = it.tap("expert.1")
        masks = it.adapter.token_masks("expert.1", it.batch)
        tap.begin(Tokens(lambda: masks), (), NO_CAP)
        assert torch.equal(it.with_function("expert.1", tap), plain)
        tap.begin(Tokens(lambda: masks), (AppliedEdit(3, Mode.CLAMP, 9.0, 1.0),), NO_CAP)

        def watched(x: Tensor) -> Tensor | None:
            kinds.append(torch.is_autocast_enabled("cpu"))
            delta = tap(x)
            assert tap._strengths[-1].change_norm.dtype == torch.float32
            return delta

        assert not torch.equal(it.with_function("expert.1", watched), plain)
    finally:
        it.policy.config.use_bf16 = False
    assert kinds and not any(kinds)


def test_no_heatmap_is_promised_where_the_patches_are_not_known(it: TinyFamily) -> None:
    assert "crops and scales" in it.adapter.sites["backbone.0"].why_no_heatmap
    assert it.adapter.camera_patches("backbone.0", it.batch) == ()
