"""The training loss of a SmolVLA, several noise draws per look at the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from torch import Tensor, nn
from torch.nn import functional as F


class LandmarkHead(nn.Module):
    """Predicts where target and basket are from the backbone's state token; training only."""

    def __init__(self, width: int, landmarks: int = 6) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, landmarks)
        )

    def forward(self, prefix: Tensor) -> Tensor:
        """Return (B, landmarks) from the backbone's output (B, T, d), state token last."""
        return self.layers(prefix[:, -1])


def use_fused_attention(policy: SmolVLAPolicy) -> None:
    """Compute this policy's attention with torch's fused kernel: the same up to rounding.

    For training only; lerobot's own attention is what a loaded policy uses.
    """
    model = policy.model.vlm_with_expert

    def attend(
        mask: Tensor, batch: int, width: int, query: Tensor, key: Tensor, value: Tensor
    ) -> Tensor:
        out = F.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2),
            attn_mask=mask[:, None], enable_gqa=query.shape[2] != key.shape[2],
        )
        return out.transpose(1, 2).reshape(batch, -1, query.shape[2] * width)

    model.get_attention_interface = lambda: attend


def training_loss(
    policy: SmolVLAPolicy,
    head: LandmarkHead,
    features: list[Tensor],
    batch: dict[str, Tensor],
    draws: int,
) -> tuple[Tensor, Tensor]:
    """Return (flow-matching loss, landmark loss).

    The first is SmolVLAPolicy.forward's (Lipman et al., "Flow matching for generative modeling",
    with x_1 = noise as in pi0), but the expert runs on `draws` noise samples per backbone pass:
    it reads keys and values from a cache, exactly as at inference. `features` are the pictures'
    tokens, (B, T, d) per camera; `batch` is normalised and has "picture" (R,), which of the B
    pictures each of R frames shows, and per frame "tokens", "token_mask", "state", "actions"
    (R, H, A), "valid" (R, H) and "landmarks" (R, 6).
    """
    model = policy.model
    prefix, cache, padding = _backbone(policy, features, batch)
    if draws > 1:
        cache.batch_repeat_interleave(draws)
    actions = batch["actions"].repeat_interleave(draws, 0)
    valid = batch["valid"].repeat_interleave(draws, 0)
    noise = torch.randn_like(actions)
    time = model.sample_time(len(actions), actions.device)
    noisy = time[:, None, None] * noise + (1 - time[:, None, None]) * actions
    velocity = model.denoise_step(
        prefix_pad_masks=padding.repeat_interleave(draws, 0),
        past_key_values=cache,
        x_t=noisy,
        timestep=time,
    )
    error = (velocity - (noise - actions)).square() * valid.unsqueeze(-1)
    flow = error.sum() / (valid.sum() * actions.shape[-1]).clamp_min(1)
    return flow, F.smooth_l1_loss(head(prefix), batch["landmarks"], beta=0.2)


def backbone_output(
    policy: SmolVLAPolicy, features: list[Tensor], batch: dict[str, Tensor]
) -> Tensor:
    """Return what the backbone ends with, (R, T, d), state token last; see training_loss."""
    return _backbone(policy, features, batch)[0]


def _backbone(
    policy: SmolVLAPolicy, features: list[Tensor], batch: dict[str, Tensor]
) -> tuple[Tensor, Any, Tensor]:
    """Return output (R, T, d), the cache of keys and values, and which tokens are no padding."""
    model = policy.model
    shown = [tokens[batch["picture"]] for tokens in features]
    present = [torch.ones(len(tokens), dtype=torch.bool) for tokens in shown]
    with _pictures_embedded(policy):
        embeddings, padding, attention = model.embed_prefix(
            shown, present, batch["tokens"], batch["token_mask"], state=batch["state"]
        )
    (prefix, _), cache = model.vlm_with_expert.forward(
        attention_mask=_mask_2d(padding, attention),
        position_ids=torch.cumsum(padding, dim=1) - 1,
        past_key_values=None,
        inputs_embeds=[embeddings, None],
        use_cache=True,
    )
    return prefix, cache, padding


@contextmanager
def _pictures_embedded(policy: SmolVLAPolicy) -> Iterator[None]:
    """Let the policy take tokens for pictures: frames of one picture share its encoding."""
    model = policy.model.vlm_with_expert
    model.embed_image = lambda tokens: tokens
    try:
        yield
    finally:
        del model.embed_image


def _mask_2d(padding: Tensor, attention: Tensor) -> Tensor:
    """Return (B, T, T) bool: a token sees the tokens of its own and of earlier blocks."""
    block = torch.cumsum(attention, dim=1)
    return (block[:, None, :] <= block[:, :, None]) & (padding[:, None, :] & padding[:, :, None])
