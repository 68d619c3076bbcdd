"""The training loss of a SmolVLA, several noise draws per look at the pictures."""

from __future__ import annotations

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
    batch: dict[str, Tensor],
    draws: int,
    landmark_weight: float,
) -> tuple[Tensor, Tensor]:
    """Return (total loss, flow-matching part).

    The loss is SmolVLAPolicy.forward's (Lipman et al., "Flow matching for generative modeling",
    with x_1 = noise as in pi0), but the expert runs on `draws` noise samples per backbone pass:
    it reads keys and values from a cache, exactly as at inference. `batch` is normalised and has
    "pictures" (B, cameras, 3, S, S) in [-1, 1], "tokens", "token_mask", "state", "actions"
    (B, H, A), "valid" (B, H) and "landmarks" (B, 6).
    """
    model = policy.model
    pictures = list(batch["pictures"].unbind(1))
    present = [torch.ones(len(pictures[0]), dtype=torch.bool) for _ in pictures]
    embeddings, padding, attention = model.embed_prefix(
        pictures, present, batch["tokens"], batch["token_mask"], state=batch["state"]
    )
    (prefix, _), cache = model.vlm_with_expert.forward(
        attention_mask=_mask_2d(padding, attention),
        position_ids=torch.cumsum(padding, dim=1) - 1,
        past_key_values=None,
        inputs_embeds=[embeddings, None],
        use_cache=True,
    )
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
    landmarks = F.smooth_l1_loss(head(prefix), batch["landmarks"], beta=0.2)
    return flow + landmark_weight * landmarks, flow


def _mask_2d(padding: Tensor, attention: Tensor) -> Tensor:
    """Return (B, T, T) bool: a token sees the tokens of its own and of earlier blocks."""
    block = torch.cumsum(attention, dim=1)
    return (block[:, None, :] <= block[:, :, None]) & (padding[:, None, :] & padding[:, :, None])
