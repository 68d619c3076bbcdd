"""The engine on lerobot's own SmolVLA class, shrunken and random, at every site."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from vla_sae_ros.core.errors import ConfigurationError, ObservationError
from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.sae import SaeBundle

MakeBundle = Callable[..., SaeBundle]

INSTRUCTION = "pick up the butter and place it in the basket"
SITES = [f"{kind}.{layer}" for kind in ("backbone", "expert") for layer in range(3)]
LAST_BACKBONE = "backbone.2"


@pytest.fixture(scope="module")
def frame() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "observation.images.agentview": random.integers(0, 256, (256, 256, 3), dtype=np.uint8),
        "observation.images.wrist": random.integers(0, 256, (256, 256, 3), dtype=np.uint8),
        "observation.state": random.normal(size=8).astype(np.float32),
    }


@pytest.fixture(scope="module")
def plain(loaded: LoadedPolicy, frame: dict[str, np.ndarray]) -> np.ndarray:
    return PolicyEngine(loaded).infer(frame, INSTRUCTION, (1, 0)).actions


@pytest.fixture
def engines() -> Iterator[list[PolicyEngine]]:
    """Engines to close after the test, so that no hook outlives it."""
    made: list[PolicyEngine] = []
    yield made
    for engine in made:
        engine.close()


def edit_of(site: str, value: float = 8.0) -> Snapshot:
    return Snapshot(1, {site: (AppliedEdit(3, Mode.ADD, value, 1.0),)})


def test_an_instruction_that_the_tokenizer_cuts_is_said_once(
    loaded: LoadedPolicy, frame: dict[str, np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    engine, long = PolicyEngine(loaded), " ".join(["put the butter aside"] * 50)
    engine.inputs(frame, "stop")
    assert not caplog.text
    for _ in range(2):
        engine.inputs(frame, long)
    assert caplog.text.count("is cut off") == 1


@pytest.mark.parametrize("pooling", ["mean", "token"])
@pytest.mark.parametrize("site", SITES)
def test_a_tap_without_edits_leaves_every_action_bit_identical(
    loaded: LoadedPolicy,
    make_bundle: MakeBundle,
    frame: dict[str, np.ndarray],
    plain: np.ndarray,
    engines: list[PolicyEngine],
    site: str,
    pooling: str,
) -> None:
    engines.append(PolicyEngine(loaded, [make_bundle(loaded, site, pooling)]))
    inference = engines[0].infer(frame, INSTRUCTION, (1, 0))
    assert inference.actions.tobytes() == plain.tobytes()
    assert len(inference.sites[0].index) > 0


@pytest.mark.parametrize("site", SITES)
def test_an_edit_changes_actions_everywhere_but_after_the_last_backbone_layer(
    loaded: LoadedPolicy,
    make_bundle: MakeBundle,
    frame: dict[str, np.ndarray],
    plain: np.ndarray,
    engines: list[PolicyEngine],
    site: str,
) -> None:
    engines.append(PolicyEngine(loaded, [make_bundle(loaded, site)]))
    edited = engines[0].infer(frame, INSTRUCTION, (1, 0), edit_of(site))
    assert edited.sites[0].edit_norm_ratio > 0.0
    assert (edited.actions.tobytes() == plain.tobytes()) == (site == LAST_BACKBONE)


@pytest.mark.parametrize("site", SITES)
def test_what_is_read_is_what_the_next_layer_receives(
    loaded: LoadedPolicy, frame: dict[str, np.ndarray], engines: list[PolicyEngine], site: str
) -> None:
    engine = PolicyEngine(loaded)
    engines.append(engine)
    read: list[torch.Tensor] = []
    received: list[torch.Tensor] = []
    handle = engine.adapter.attach(site, lambda x: read.append(x.clone()))
    model = loaded.policy.model.vlm_with_expert
    text, expert = model.get_vlm_model().text_model, model.lm_expert
    stack = text if site.startswith("backbone") else expert
    layer = int(site[-1]) + 1
    norm = stack.norm if layer == len(stack.layers) else stack.layers[layer].input_layernorm
    watch = norm.register_forward_pre_hook(lambda _module, args: received.append(args[0].clone()))
    try:
        engine.infer(frame, INSTRUCTION, (1, 0))
    finally:
        handle.remove()
        watch.remove()
    assert len(read) == engine.adapter.sites[site].runs_per_inference
    assert all(torch.equal(a, b) for a, b in zip(read, received, strict=True))


def test_adding_a_direction_equals_a_bias_on_the_mlp(
    loaded: LoadedPolicy, frame: dict[str, np.ndarray], engines: list[PolicyEngine]
) -> None:
    """The independent implementation: the layer's own weights are changed to add the vector."""
    engine = PolicyEngine(loaded)
    engines.append(engine)
    direction = torch.randn(
        engine.adapter.sites["expert.1"].width, generator=torch.Generator().manual_seed(1)
    )
    handle = engine.adapter.attach("expert.1", lambda x: direction.expand_as(x))
    tapped = engine.infer(frame, INSTRUCTION, (1, 0)).actions
    handle.remove()
    down = loaded.policy.model.vlm_with_expert.lm_expert.layers[1].mlp.down_proj
    assert down.bias is None
    down.bias = torch.nn.Parameter(direction, requires_grad=False)
    try:
        rewritten = engine.infer(frame, INSTRUCTION, (1, 0)).actions
    finally:
        down.bias = None
    np.testing.assert_allclose(tapped, rewritten, atol=1e-5)


def test_hooks_are_gone_after_close(
    loaded: LoadedPolicy, make_bundle: MakeBundle, frame: dict[str, np.ndarray], plain: np.ndarray
) -> None:
    engine = PolicyEngine(loaded, [make_bundle(loaded, "expert.0")])
    engine.infer(frame, INSTRUCTION, (1, 0), edit_of("expert.0"))
    engine.close()
    modules = list(loaded.policy.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
    assert (
        PolicyEngine(loaded).infer(frame, INSTRUCTION, (1, 0)).actions.tobytes() == plain.tobytes()
    )


def test_noise_is_the_seeds_and_nothing_elses(
    loaded: LoadedPolicy, frame: dict[str, np.ndarray]
) -> None:
    engine = PolicyEngine(loaded)
    first, other, again = (
        engine.infer(frame, INSTRUCTION, seed).actions for seed in ((1, 5), (5, 1), (1, 5))
    )
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_token_groups_cover_the_real_stream_once_and_leave_padding_out(
    loaded: LoadedPolicy, frame: dict[str, np.ndarray]
) -> None:
    engine = PolicyEngine(loaded)
    lengths: list[int] = []
    handle = engine.adapter.attach("backbone.0", lambda x: lengths.append(x.shape[1]))
    engine.infer(frame, INSTRUCTION, (1, 0))
    handle.remove()
    batch = loaded.preprocessor(engine._to_batch(frame, INSTRUCTION))
    attended = batch["observation.language.attention_mask"]
    masks = engine.adapter.token_masks("backbone.0", batch)
    together = torch.stack(list(masks.values())).sum(0)
    assert together.shape == (1, lengths[0])
    assert bool((together == 1).all())
    assert (masks["language"].sum(), masks["state"].sum()) == (attended.numel(), 1)
    attended[:, -3:] = 0
    padded = engine.adapter.token_masks("backbone.0", batch)
    assert padded["language"].sum() == attended.numel() - 3


def test_two_bundles_on_one_site_are_refused(loaded: LoadedPolicy, make_bundle: MakeBundle) -> None:
    bundle = make_bundle(loaded, "expert.0")
    with pytest.raises(ConfigurationError, match="one SAE and one bundle of directions per site"):
        PolicyEngine(loaded, [bundle, bundle])


def test_a_bundle_of_another_policy_is_refused_by_name(
    loaded: LoadedPolicy, make_bundle: MakeBundle
) -> None:
    with pytest.raises(ConfigurationError, match="policy id"):
        PolicyEngine(loaded, [make_bundle(loaded, "expert.0", policy_id="another")])


def test_a_frame_without_a_camera_is_refused_by_name(
    loaded: LoadedPolicy, frame: dict[str, np.ndarray]
) -> None:
    half = {key: value for key, value in frame.items() if "wrist" not in key}
    with pytest.raises(ObservationError, match="wrist"):
        PolicyEngine(loaded).infer(half, INSTRUCTION, (0, 0))


def test_a_state_that_is_not_finite_is_refused(
    loaded: LoadedPolicy, frame: dict[str, np.ndarray]
) -> None:
    broken = {**frame, "observation.state": np.full(8, np.nan, np.float32)}
    with pytest.raises(ObservationError, match=r"observation\.state"):
        PolicyEngine(loaded).infer(broken, INSTRUCTION, (0, 0))


def test_a_probe_changes_nothing_and_reads_once_per_inference(
    loaded: LoadedPolicy,
    frame: dict[str, np.ndarray],
    plain: np.ndarray,
    engines: list[PolicyEngine],
) -> None:
    engines.append(PolicyEngine(loaded))
    read: list[torch.Tensor] = []
    engines[0].attach_probe("expert.1", True, lambda values, _norm: read.append(values))
    assert engines[0].infer(frame, INSTRUCTION, (1, 0)).actions.tobytes() == plain.tobytes()
    assert [tuple(values.shape) for values in read] == [
        (1, engines[0].adapter.sites["expert.1"].width)
    ]


def test_what_a_policy_raises_at_its_first_inference_is_told_in_a_sentence(
    loaded: LoadedPolicy,
    frame: dict[str, np.ndarray],
    plain: np.ndarray,
    engines: list[PolicyEngine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engines += [PolicyEngine(loaded), PolicyEngine(loaded)]
    fresh, used = engines
    used.infer(frame, INSTRUCTION, (1, 0))
    monkeypatch.setattr(loaded.policy.config, "num_steps", 0)  # of denoising
    with pytest.raises(ConfigurationError, match=r"fails at its first inference.*config\.json"):
        fresh.infer(frame, INSTRUCTION, (1, 0))
    with pytest.raises(ZeroDivisionError):  # no configuration that has worked: its trace counts
        used.infer(frame, INSTRUCTION, (1, 0))


def test_a_policy_whose_first_actions_are_not_finite_is_refused(
    loaded: LoadedPolicy, frame: dict[str, np.ndarray], engines: list[PolicyEngine]
) -> None:
    engines.append(PolicyEngine(loaded))
    weight = loaded.policy.model.action_out_proj.weight
    before = weight.detach().clone()
    try:
        with torch.no_grad():
            weight[0, 0] = torch.nan
        with pytest.raises(ConfigurationError, match=r"first actions of .*NaN"):
            engines[0].infer(frame, INSTRUCTION, (1, 0))
    finally:
        with torch.no_grad():
            weight.copy_(before)
