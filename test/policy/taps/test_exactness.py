"""Every family, every layer: reading changes nothing, and an edit is exactly what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from tiny_families import LANGUAGE, LAYERS, NO_CAP, WORDS, TinyFamily, a_batch
from torch import Tensor, nn

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.steering import AppliedEdit, Mode
from vla_sae_ros.policy.families.adapter import TokenMasks
from vla_sae_ros.policy.families.chunk import PreviousChunk
from vla_sae_ros.policy.families.registry import adapter_for
from vla_sae_ros.policy.taps.tokens import Tokens
from vla_sae_ros.policy.tiny.tiny_smolvla import CAMERA_KEYS

Tiny = Callable[[str], TinyFamily]

FLOW = ("smolvla", "pi0", "pi05")
"""Families whose expert reads keys and values of the backbone."""
MASKED = (*FLOW, "pi0_fast")
"""Families whose padded tokens nobody attends to."""
FAMILIES = (*MASKED, "xvla", "groot")
SITES = [
    (family, f"{kind}.{layer}")
    for family in FAMILIES
    for kind in ("backbone", "decode" if family == "pi0_fast" else "expert")
    for layer in range(LAYERS)
]
SOFT_PROMPTS = 2
"""X-VLA's, which belong to no group."""
LAST_BACKBONE = f"backbone.{LAYERS - 1}"
NEUTRAL = {
    "no edit": (),
    "scale by one": (AppliedEdit(3, Mode.SCALE, 1.0, 1.0), AppliedEdit(4, Mode.SCALE, 1.0, 1.0)),
    "add nothing": (AppliedEdit(3, Mode.ADD, 0.0, 1.0),),
}

every_site = pytest.mark.parametrize(("family", "site"), SITES)
every_flow_site = pytest.mark.parametrize(
    ("family", "site"), [(family, site) for family, site in SITES if family in FLOW]
)
every_masked_site = pytest.mark.parametrize(
    ("family", "site"), [(family, site) for family, site in SITES if family in MASKED]
)


def same(a: Tensor, b: Tensor) -> bool:
    return a.numpy().tobytes() == b.numpy().tobytes()


def push(family: TinyFamily, site: str) -> Callable[[Tensor], Tensor]:
    """Return a function that adds the same known vector to every token."""
    width = family.adapter.sites[site].width
    vector = torch.randn(width, generator=torch.Generator().manual_seed(1))
    return lambda x: vector.expand_as(x)


def known(masks: TokenMasks) -> Tokens:
    return Tokens(lambda: masks)


class Recorder:
    """Keeps every stream it is shown."""

    def __init__(self) -> None:
        self.read: list[Tensor] = []

    def __call__(self, x: Tensor) -> None:
        self.read.append(x.clone())


@every_site
def test_a_tap_that_changes_nothing_leaves_every_action_bit_identical(
    tiny: Tiny, family: str, site: str
) -> None:
    it = tiny(family)
    plain = it.predict()
    for pooled in (True, False):
        tap = it.tap(site, pooled)
        for name, edits in NEUTRAL.items():
            tap.begin(known(it.adapter.token_masks(site, it.batch)), edits, NO_CAP)
            assert same(it.with_function(site, tap), plain), name
            assert len(tap.reading().readout().index) > 0


@every_site
def test_what_is_read_is_what_the_next_layer_receives(tiny: Tiny, family: str, site: str) -> None:
    it = tiny(family)
    read, received = Recorder(), Recorder()
    watch = it.receiver(site).register_forward_pre_hook(lambda _module, args: received(args[0]))
    it.with_function(site, read)
    watch.remove()
    assert len(read.read) == it.adapter.sites[site].runs_per_inference
    # X-VLA's last norm gets the actions' tokens only; its encoder's output is read at every step.
    first = int(site.startswith("decode"))  # the same layer reads the prompt before
    pairs = zip(read.read, received.read[first : first + len(read.read)], strict=True)
    assert all(same(a[:, : b.shape[1]], b) for a, b in pairs)
    assert read.read[0].shape[-1] == it.adapter.sites[site].width


@every_site
def test_adding_a_vector_equals_a_model_whose_weights_add_it(
    tiny: Tiny, family: str, site: str
) -> None:
    """The last part of the layer gets a bias, or a larger one.

    Sums are rounded in another order: 1e-4 of actions around 1.
    """
    it = tiny(family)
    open_gates(it.layer(site))
    add = push(it, site)
    tapped = it.with_function(site, add)
    vector = add(torch.zeros(1, it.adapter.sites[site].width))[0]
    with biased(it, site, vector):
        rewritten = it.predict()
    torch.testing.assert_close(tapped, rewritten, atol=1e-4, rtol=1e-4)


@contextmanager
def biased(it: TinyFamily, site: str, vector: Tensor) -> Iterator[None]:
    """Give the layer's last part the vector as bias, or add it; in the site's runs only."""
    last = it.last_addend(site)
    kept = last.bias
    changed = nn.Parameter(vector if kept is None else kept + vector, requires_grad=False)

    def choose(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        decodes = it.decodes and args[0].shape[1] == 1
        module.bias = changed if decodes == site.startswith("decode") else kept

    watch = last.register_forward_pre_hook(choose)
    try:
        yield
    finally:
        watch.remove()
        last.bias = kept


def open_gates(layer: nn.Module) -> None:
    """Set the gate on the MLP to one where the layer has one (pi0.5's expert), for good."""
    dense = getattr(getattr(layer, "post_attention_layernorm", None), "dense", None)
    if dense is not None:
        third = len(dense.bias) // 3
        dense.weight.data[-third:] = 0.0
        dense.bias.data[-third:] = 1.0


@every_site
def test_only_the_last_backbone_layer_has_no_effect_and_says_so(
    tiny: Tiny, family: str, site: str
) -> None:
    it = tiny(family)
    unchanged = same(it.with_function(site, push(it, site)), it.predict())
    assert unchanged == (site == LAST_BACKBONE and family in FLOW)
    assert it.adapter.sites[site].can_steer != unchanged
    if unchanged:
        assert "nothing reads" in it.adapter.sites[site].why_not


@every_masked_site
def test_what_stands_in_padded_slots_never_enters_what_is_read(
    tiny: Tiny, family: str, site: str
) -> None:
    it = tiny(family)
    streams, readouts = [], []
    for padding_id in (0, 77):
        batch = a_batch(padding_id=padding_id)
        tap = it.tap(site)
        tap.begin(known(it.adapter.token_masks(site, batch)), (), NO_CAP)
        seen = Recorder()
        handles = [it.adapter.attach(site, function) for function in (tap, seen)]
        it.predict(batch)
        for handle in handles:
            handle.remove()
        streams.append(seen.read[0])
        readouts.append(tap.reading().readout())
    together = torch.stack(list(it.adapter.token_masks(site, it.batch).values())).any(0)
    assert same(streams[0][together], streams[1][together])
    if site.startswith("backbone"):
        assert not same(streams[0], streams[1])
    assert readouts[0].natural.tobytes() == readouts[1].natural.tobytes()
    assert readouts[0].residual_norm == readouts[1].residual_norm


@every_site
def test_token_groups_cover_the_real_stream_once(tiny: Tiny, family: str, site: str) -> None:
    it = tiny(family)
    read = Recorder()
    it.with_function(site, read)
    masks = it.adapter.token_masks(site, it.batch)
    assert set(masks) == set(it.adapter.sites[site].token_groups)
    together = torch.stack(list(masks.values())).sum(0)
    assert together.shape == read.read[0].shape[:2]
    padded = LANGUAGE - WORDS if "language" in masks else 0
    padded += SOFT_PROMPTS if family == "xvla" and site.startswith("expert") else 0
    assert int((together == 1).sum()) == together.numel() - padded
    assert int((together > 1).sum()) == 0


@pytest.mark.parametrize("family", MASKED)
def test_a_missing_camera_comes_last_and_is_masked(tiny: Tiny, family: str) -> None:
    it = tiny(family)
    it.policy.config.empty_cameras = 1
    try:
        batch = a_batch(CAMERA_KEYS[1:])
        read = Recorder()
        handle = it.adapter.attach("backbone.0", read)
        it.predict(batch)
        handle.remove()
        camera = it.adapter.token_masks("backbone.0", batch)["camera"][0]
        (place,) = it.adapter.camera_patches("backbone.0", batch)
    finally:
        it.policy.config.empty_cameras = 0
    assert len(camera) == read.read[0].shape[1]
    assert place.camera == CAMERA_KEYS[1]
    assert camera.nonzero().flatten().tolist() == list(range(place.stop))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_policy_used_twice_shows_no_trace_of_the_first_use(tiny: Tiny, family: str) -> None:
    it = tiny(family)
    plain = it.predict()
    before = hooks_on(it.policy)
    assert not before or family == "groot", "transformers leaves hooks on Qwen's layers"
    edits = (AppliedEdit(3, Mode.ADD, 50.0, 1.0),)
    taps = {site: it.tap(site) for site in it.adapter.sites}
    handles = [it.adapter.attach(site, tap) for site, tap in taps.items()]
    for site, tap in taps.items():
        tap.begin(known(it.adapter.token_masks(site, it.batch)), edits, NO_CAP)
    assert not same(it.predict(), plain)
    for handle in handles:
        handle.remove()
    assert hooks_on(it.policy) == before
    assert same(it.predict(), plain)


def hooks_on(policy: nn.Module) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
        for module in policy.modules()
    )


@pytest.mark.parametrize("family", FLOW)
def test_any_chunk_length_and_number_of_steps_is_followed(tiny: Tiny, family: str) -> None:
    it = tiny(family)
    config = it.policy.config
    steps = "num_steps" if family == "smolvla" else "num_inference_steps"
    kept = config.chunk_size, getattr(config, steps)
    config.chunk_size = 11
    setattr(config, steps, 2)
    try:
        adapter = adapter_for(family, it.policy)
        read = Recorder()
        handle = adapter.attach("expert.1", read)
        with torch.inference_mode():
            actions = adapter.predict(dict(it.batch), torch.zeros(1, *adapter.noise_shape))
        handle.remove()
        masks = adapter.token_masks("expert.1", it.batch)
    finally:
        config.chunk_size = kept[0]
        setattr(config, steps, kept[1])
    assert actions.shape[1] == 11
    assert len(read.read) == adapter.sites["expert.1"].runs_per_inference == 2
    assert masks["action"].shape[1] == read.read[0].shape[1]
    assert int(masks["action"].sum()) == 11


@every_flow_site
def test_real_time_chunking_is_read_and_steered_like_any_other_chunk(
    tiny: Tiny, family: str, site: str
) -> None:
    it = tiny(family)
    plain = it.predict()
    previous = PreviousChunk(torch.full((1, 4, 7), 0.5), delay=1)
    it.set_rtc(True)
    it.policy.requires_grad_(True)  # as lerobot loads it: gradients reach the layers
    try:
        assert same(it.predict(), plain), "without a previous chunk it changes nothing"
        pulled = it.predict(previous=previous)
        tap = it.tap(site)
        with torch.inference_mode():  # as the engine prepares it
            masks = it.adapter.token_masks(site, it.batch)
            tap.begin(known(masks), (), NO_CAP)
        assert same(it.with_function(site, tap, previous), pulled)
        edits = (AppliedEdit(3, Mode.ADD, 50.0, 1.0),)
        with torch.inference_mode():
            tap.begin(known(masks), edits, NO_CAP)
        steered = it.with_function(site, tap, previous)
        assert tap.reading().readout().edit_norm_ratio > 0.0
    finally:
        it.set_rtc(False)
        it.policy.requires_grad_(False)
    assert not same(pulled, plain)
    assert same(steered, pulled) == (site == LAST_BACKBONE)
    assert not steered.requires_grad


@pytest.mark.parametrize("family", FLOW)
def test_a_previous_chunk_without_real_time_chunking_is_refused(tiny: Tiny, family: str) -> None:
    with pytest.raises(ConfigurationError, match="rtc_config"):
        tiny(family).predict(previous=PreviousChunk(torch.zeros(1, 4, 7), delay=1))


@pytest.mark.parametrize("family", MASKED)
def test_a_compiled_policy_is_refused_with_what_to_do(tiny: Tiny, family: str) -> None:
    it = tiny(family)
    it.policy.config.compile_model = True
    try:
        with pytest.raises(ConfigurationError, match="Set compile_model to false"):
            adapter_for(family, it.policy)
    finally:
        it.policy.config.compile_model = False


def test_x_vla_masks_a_missing_camera_and_refuses_a_previous_chunk(tiny: Tiny) -> None:
    it = tiny("xvla")
    batch = a_batch(CAMERA_KEYS[1:])
    read = Recorder()
    handle = it.adapter.attach("expert.0", read)
    it.predict(batch)
    handle.remove()
    camera = it.adapter.token_masks("expert.0", batch)["camera"]
    (place,) = it.adapter.camera_patches("expert.0", batch)
    assert camera.shape == read.read[0].shape[:2]
    assert int(camera.sum()) == place.stop - place.start + 1
    with pytest.raises(ConfigurationError, match="no real-time chunking"):
        it.predict(previous=PreviousChunk(torch.zeros(1, 4, 7), delay=1))


def test_x_vla_draws_from_the_noise_it_is_given_and_leaves_torch_s_generator_alone(
    tiny: Tiny,
) -> None:
    it = tiny("xvla")
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, again = it.predict(), it.predict()
    assert torch.equal(torch.rand(1), expected)
    assert same(first, again)
    with torch.inference_mode():
        other = it.adapter.predict(dict(it.batch), it.noise + 1.0)
    assert not same(first, other)
