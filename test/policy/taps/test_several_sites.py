"""Edits on several sites at once against hooks that apply the formula by hand, token by token."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.families.adapter import TokenMasks
from vla_sae_ros.policy.tiny.tiny_smolvla import CAMERA_KEYS
from vla_sae_ros.sae import SaeBundle

INSTRUCTION = "pick up the butter and place it in the basket"
POOLING = {"backbone.0": "mean", "expert.0": "mean", "expert.1": "token"}
EDITS = {
    "backbone.0": (
        AppliedEdit(3, Mode.CLAMP, 6.0, 1.0, ("camera", "language")),
        AppliedEdit(5, Mode.ADD, 4.0, 0.5, ("language", "state")),
        AppliedEdit(7, Mode.PROJECT_OUT, 0.0, 1.0),
    ),
    "expert.0": (
        AppliedEdit(1, Mode.CLAMP, 5.0, 1.0, (), (0, 2)),
        AppliedEdit(1, Mode.PROJECT_OUT, 0.0, 1.0, (), (1,)),
        AppliedEdit(6, Mode.SCALE, 3.0, 1.0),
    ),
    "expert.1": (
        AppliedEdit(2, Mode.CLAMP, 5.0, 1.0),
        AppliedEdit(4, Mode.PROJECT_OUT, 0.0, 0.5),
    ),
}


def code_and_scale(bundle: SaeBundle, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return z (F,) and the scale of one vector: layer_norm, linear, the k largest, relu."""
    sae, scale = bundle.sae, x.std()
    hidden = (x - x.mean()) / (scale + 1e-5) @ sae.W_enc + sae.b_enc
    kth = hidden.sort(descending=True).values[sae.k - 1]
    return torch.where(hidden >= kth, hidden, torch.zeros(())).clamp_min(0.0), scale


def edited_token(
    bundle: SaeBundle, x: Tensor, read: Tensor, edits: list[AppliedEdit], cap: float
) -> Tensor:
    """Return x' = x + sum (z' - z) d, projections included, held to the cap."""
    z, scale = code_and_scale(bundle, read)
    change = torch.zeros_like(x)
    for edit in edits:
        row, natural = bundle.sae.W_dec[edit.feature], z[edit.feature]
        if edit.mode is Mode.PROJECT_OUT:
            unit = row / row.norm()
            change -= edit.weight * (x @ unit) * unit
            continue
        wanted = {
            Mode.CLAMP: edit.value,
            Mode.ADD: natural + edit.value,
            Mode.SCALE: edit.value * natural,
        }[edit.mode]
        change += edit.weight * (wanted - natural) * scale * row
    return x + change * min(1.0, cap * float(x.norm()) / max(float(change.norm()), 1e-30))


class ByHand:
    """Replaces the stream after a layer, run by run."""

    def __init__(self, bundle: SaeBundle, masks: TokenMasks, cap: float) -> None:
        self._bundle, self._masks, self._cap, self._run = bundle, masks, cap, 0
        self._edits = EDITS[bundle.card.site]

    def attach(self, layer: nn.Module) -> list[torch.utils.hooks.RemovableHandle]:
        mid: list[Tensor] = []
        norm = layer.get_submodule("post_attention_layernorm")
        return [
            norm.register_forward_pre_hook(lambda _module, args: mid.append(args[0])),
            layer.get_submodule("mlp").register_forward_hook(
                lambda _module, _args, out: self.stream(out + mid[-1]) - mid[-1]
            ),
        ]

    def stream(self, x: Tensor) -> Tensor:
        acting = [e for e in self._edits if not e.denoising_steps or self._run in e.denoising_steps]
        self._run += 1
        real = torch.stack(list(self._masks.values())).any(0)[0]
        mean, new = x[0, real].mean(0), x.clone()
        for token in real.nonzero().flatten().tolist():
            groups = {name for name, mask in self._masks.items() if mask[0, token]}
            here = [e for e in acting if not e.token_groups or groups & set(e.token_groups)]
            read = mean if self._bundle.card.pooling == "mean" else x[0, token]
            new[0, token] = edited_token(self._bundle, x[0, token], read, here, self._cap)
        return new


@pytest.mark.parametrize("cap", [float("inf"), 0.25])
def test_edits_on_three_sites_give_the_actions_of_the_formula_applied_by_hand(
    loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle], cap: float
) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    frame = dict(zip(CAMERA_KEYS, pictures, strict=True))
    frame["observation.state"] = np.linspace(-1, 1, 8, dtype=np.float32)
    bundles = [make_bundle(loaded, site, pooling) for site, pooling in POOLING.items()]
    engine = PolicyEngine(loaded, bundles)
    try:
        plain = engine.infer(frame, INSTRUCTION, (1, 0)).actions
        tapped = engine.infer(frame, INSTRUCTION, (1, 0), Snapshot(1, EDITS, cap=cap))
        capped = [readout.capped for readout in tapped.sites]
    finally:
        engine.close()
    batch = loaded.preprocessor(engine._to_batch(frame, INSTRUCTION))
    model = loaded.policy.model.vlm_with_expert
    stacks = {"backbone": model.get_vlm_model().text_model.layers, "expert": model.lm_expert.layers}
    handles = []
    for bundle in bundles:
        stack, number = bundle.card.site.split(".")
        masks = engine.adapter.token_masks(bundle.card.site, batch)
        handles += ByHand(bundle, masks, cap).attach(stacks[stack][int(number)])
    try:
        by_hand = PolicyEngine(loaded).infer(frame, INSTRUCTION, (1, 0)).actions
    finally:
        for handle in handles:
            handle.remove()
    assert all(capped) == (cap < 1.0)
    assert np.abs(plain - by_hand).max() > 100 * np.abs(tapped.actions - by_hand).max()
    np.testing.assert_allclose(tapped.actions, by_hand, atol=1e-4)
