"""Policies without an adapter of their own are read and edited at their modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.policies.factory import get_policy_class
from small_policies import CHUNK, SETTINGS, save_small
from torch import Tensor, nn

from vla_sae_ros.cli import main
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.families.chunk import PreviousChunk, drawn_from
from vla_sae_ros.policy.families.module_outputs import forms_of
from vla_sae_ros.policy.families.modules import ModuleAdapter
from vla_sae_ros.policy.families.registry import adapter_of
from vla_sae_ros.policy.loading import load_policy

KINDS = tuple(SETTINGS)
INSTRUCTION = "pick up the butter"
SEED = torch.full((1, 1, 1), 3.0)
FRAME = {
    "observation.images.agentview": np.random.default_rng(0)
    .integers(0, 256, (64, 64, 3))
    .astype(np.uint8),
    "observation.state": np.linspace(-1, 1, 8, dtype=np.float32),
}
LAST_ADDEND = {
    "act": ("module:model.encoder.layers.0", "model.encoder.layers.0.norm2"),
    "diffusion": (
        "module:diffusion.unet.down_modules.0.0",
        "diffusion.unet.down_modules.0.0.residual_conv",
    ),
    "vqbet": (
        "module:vqbet.policy.transformer.h.0",
        "vqbet.policy.transformer.h.0.mlp.2",
    ),
}
"""A site, and the module whose bias is added to what it puts out."""


@pytest.fixture(scope="module")
def of_kind(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LoadedPolicy]:
    made: dict[str, LoadedPolicy] = {}

    def get(kind: str) -> LoadedPolicy:
        if kind not in made:
            made[kind] = load_policy(save_small(kind, tmp_path_factory.mktemp(kind)))
        return made[kind]

    return get


def batch_of(loaded: LoadedPolicy) -> dict:
    picture = torch.from_numpy(FRAME["observation.images.agentview"]).permute(2, 0, 1) / 255
    frame = {"observation.images.agentview": picture, "task": INSTRUCTION}
    frame["observation.state"] = torch.from_numpy(FRAME["observation.state"])
    return loaded.preprocessor(frame)


def predict(adapter: ModuleAdapter, loaded: LoadedPolicy) -> Tensor:
    with torch.inference_mode():
        return adapter.predict(batch_of(loaded), SEED)


def with_function(adapter, loaded, site, function) -> Tensor:
    handle = adapter.attach(site, function)
    try:
        return predict(adapter, loaded)
    finally:
        handle.remove()


@pytest.mark.parametrize("kind", KINDS)
def test_the_chunk_is_lerobots_own_to_the_bit(of_kind, kind: str) -> None:
    loaded = of_kind(kind)
    ours = predict(adapter_of(loaded), loaded)
    policy, steps = loaded.policy, []
    policy.reset()
    with torch.inference_mode(), drawn_from(SEED):
        steps.append(policy.select_action(batch_of(loaded)))
        steps += [policy.select_action(batch_of(loaded)) for _ in range(2)]
    torch.testing.assert_close(ours[0, :3], torch.cat(steps), rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_observing_any_site_leaves_the_actions_bit_identical(of_kind, kind: str) -> None:
    loaded = of_kind(kind)
    adapter = adapter_of(loaded)
    plain = predict(adapter, loaded)
    for site in adapter.sites:
        assert torch.equal(with_function(adapter, loaded, site, lambda x: None), plain), site
        zero = with_function(adapter, loaded, site, lambda x: torch.full_like(x, -0.0))
        assert torch.equal(zero, plain), site


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_that_a_module_puts_out_is_read_once_as_often_as_it_runs(
    of_kind, kind: str
) -> None:
    loaded = of_kind(kind)
    adapter = adapter_of(loaded)
    for name, site in adapter.sites.items():
        module = loaded.policy.get_submodule(name.removeprefix("module:"))
        plain: list[Tensor] = []
        watch = module.register_forward_hook(
            lambda _m, _a, out, seen=plain: seen.append(
                (out[0] if isinstance(out, tuple) else out).clone()
            )
        )
        read: list[Tensor] = []
        with_function(adapter, loaded, name, lambda x, seen=read: seen.append(x.clone()))
        watch.remove()
        assert len(read) == len(plain) == site.runs_per_inference
        for ours, theirs in zip(read, plain, strict=True):
            assert ours.shape[0] == 1 and ours.shape[2] == site.width
            np.testing.assert_array_equal(np.sort(ours.ravel()), np.sort(theirs.ravel()))


@pytest.mark.parametrize("kind", KINDS)
def test_adding_a_vector_equals_a_model_whose_weights_add_it(of_kind, kind: str) -> None:
    loaded = of_kind(kind)
    adapter = adapter_of(loaded)
    site, addend = LAST_ADDEND[kind]
    vector = torch.randn(adapter.sites[site].width, generator=torch.Generator().manual_seed(4))
    plain = predict(adapter, loaded)
    edited = with_function(adapter, loaded, site, lambda x: vector.expand_as(x))
    bias = loaded.policy.get_submodule(addend).bias
    kept = bias.data.clone()
    bias.data += vector
    by_weights = predict(adapter, loaded)
    bias.data = kept
    assert (edited - plain).abs().max() > 1e-3
    torch.testing.assert_close(edited, by_weights, atol=1e-4, rtol=1e-4)
    assert torch.equal(predict(adapter, loaded), plain), "no trace of the first use"


@pytest.mark.parametrize("kind", KINDS)
def test_the_engine_reads_and_steers_them_like_any_other(of_kind, kind: str, make_bundle) -> None:
    loaded = of_kind(kind)
    site = LAST_ADDEND[kind][0]
    bare = PolicyEngine(loaded).infer(FRAME, INSTRUCTION, (1, 0)).actions
    for pooling in ("mean", "token"):
        engine = PolicyEngine(loaded, [make_bundle(loaded, site, pooling)])
        plain = engine.infer(FRAME, INSTRUCTION, (1, 0))
        edit = Snapshot(1, {site: (AppliedEdit(4, Mode.ADD, 30.0, 1.0),)})
        edited = engine.infer(FRAME, INSTRUCTION, (1, 0), edit)
        (readout,) = plain.sites
        assert np.array_equal(plain.actions, bare) and len(readout.index) > 0
        assert np.abs(edited.actions - bare).max() > 1e-3
        assert plain.actions.shape == bare.shape and bare.shape[1] == 7
        assert "positions of tokens in the picture are unknown" in engine.why_no_heatmap(site, 0)
        engine.close()


def test_chunks_of_one_seed_are_the_same_and_of_another_are_not(of_kind) -> None:
    engine = PolicyEngine(of_kind("diffusion"))
    first, again, other = (
        engine.infer(FRAME, INSTRUCTION, seed).actions for seed in ((1, 0), (1, 0), (1, 5))
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_a_previous_chunk_is_refused(of_kind) -> None:
    loaded = of_kind("act")
    previous = PreviousChunk(torch.zeros(1, CHUNK, 7), 1)
    with pytest.raises(ConfigurationError, match="no real-time chunking"):
        adapter_of(loaded).predict(batch_of(loaded), SEED, previous)


def test_convolutions_have_their_features_in_the_second_axis() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.ModuleList([nn.Linear(5, 6)])
            self.lines = nn.ModuleList([nn.Conv1d(5, 6, 1)])
            self.pictures = nn.Sequential(nn.Conv2d(5, 6, 1), nn.ReLU())
            self.grows = nn.ModuleList([nn.Linear(5, 5)])

        def forward(self) -> None:
            self.rows[0](torch.randn(1, 4, 5))
            self.lines[0](torch.randn(1, 5, 4))
            self.pictures(torch.randn(1, 5, 3, 2))
            self.grows[0](torch.randn(1, 2, 5))
            self.grows[0](torch.randn(1, 3, 5))

    network = Network()
    forms = forms_of(network, network)
    found = {name: (one.axis, one.width, one.tokens) for name, one in forms.items()}
    assert found == {  # what runs twice with other numbers of tokens is left out
        "rows.0": (2, 6, 4),
        "lines.0": (1, 6, 4),
        "pictures": (1, 6, 6),
        "pictures.0": (1, 6, 6),
    }
    picture = torch.randn(1, 6, 3, 2)
    stream = forms["pictures"].stream(picture)
    assert torch.equal(stream[0, 3], picture[0, :, 1, 1])
    assert torch.equal(forms["pictures"].output(stream, picture), picture)


def test_a_policy_that_gives_no_chunk_says_why(of_kind, monkeypatch) -> None:
    loaded = of_kind("act")

    def fails(batch: dict) -> Tensor:
        raise NotImplementedError("one action at a time")

    monkeypatch.setattr(loaded.policy, "predict_action_chunk", fails)
    with pytest.raises(ConfigurationError, match=r"act policy has no adapter.*one action at a ti"):
        PolicyEngine(loaded)


def test_sites_lists_the_modules_and_what_nobody_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    folder = save_small("act", tmp_path)
    assert main(["sites", str(folder)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "module:model.encoder.layers.1" in shown
    assert "there is no heatmap" in shown


def test_a_checkpoint_with_pretrained_backbone_weights_loads_without_fetching_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_small("act", tmp_path)
    config = (folder / "config.json").read_text()
    assert '"pretrained_backbone_weights": null' in config
    (folder / "config.json").write_text(
        config.replace(
            '"pretrained_backbone_weights": null',
            '"pretrained_backbone_weights": "ResNet18_Weights.IMAGENET1K_V1"',
        )
    )
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", lambda *args, **kwargs: 1 / 0)
    assert isinstance(load_policy(folder).policy, get_policy_class("act"))
