"""The training loss of a SmolVLA, several noise draws per look at the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from lerobot.policies.smolvla.smolvlm_with_expert import apply_rope
from torch import Tensor, nn
from torch.nn import functional as F

LOOKING_LAYER = 1
"""The backbone layer whose attention is taught to look at the target: later ones can use it."""


class LandmarkHead(nn.Module):
    """Predicts where target and basket are from the backbone's state token; training only."""

    def __init__(self, width: int, landmarks: int = 6) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, landmarks))

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
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            attn_mask=mask[:, None],
            enable_gqa=query.shape[2] != key.shape[2],
        )
        return out.transpose(1, 2).reshape(batch, -1, query.shape[2] * width)

    model.get_attention_interface = lambda: attend


def training_loss(
    policy: SmolVLAPolicy,
    head: LandmarkHead,
    features: list[Tensor],
    batch: dict[str, Tensor],
    draws: int,
    insulated: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the losses of flow matching, of the landmarks and of looking at the target.

    The first is SmolVLAPolicy.forward's (Lipman et al., "Flow matching for generative modeling",
    with x_1 = noise as in pi0), but the expert runs on `draws` noise samples per backbone pass:
    it reads keys and values from a cache, exactly as at inference. `features` are the pictures'
    tokens, (B, T, d) per camera; `batch` is normalised and has "picture" (R,), which of the B
    pictures each of R frames shows, and per frame "tokens", "token_mask", "state", "actions"
    (R, H, A), "valid" (R, H), "landmarks" (R, 6) and "target_marks" (R, cameras, 1, 2), where the
    target appears. `insulated`: the flow loss has no gradient in the backbone, which learns from
    the other two alone (Driess et al., "Knowledge insulating vision-language-action models").
    """
    model = policy.model
    prefix, queries, cache, padding = _backbone(policy, features, batch)
    looking = looking_loss(
        queries, cache.layers[LOOKING_LAYER].keys, padding, batch, features[0].shape[1]
    )
    if insulated:
        for layer in cache.layers:
            layer.keys, layer.values = layer.keys.detach(), layer.values.detach()
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
    landmarks = F.smooth_l1_loss(head(prefix), batch["landmarks"], beta=0.2)
    return flow, landmarks, looking


def looking_loss(
    queries: Tensor, keys: Tensor, padding: Tensor, batch: dict[str, Tensor], tokens: int
) -> Tensor:
    """Return how little the instruction's words look at what they ask for.

    `queries` and `keys` (R, heads, T, D) are those of one backbone layer, pictures first (`tokens`
    per camera), then the words, then the state; half of the heads are taught. The loss is the
    negative logarithm of the attention that falls on the picture tokens in which the target's
    origin appears, averaged over words; frames in which it is nowhere to be seen do not count.
    """
    marks = batch["target_marks"][:, :, 0]
    side = round(tokens**0.5)
    seen = (marks >= 0).all(-1) & (marks < 1).all(-1)  # False where nan, too
    cell = (torch.where(seen[..., None], marks, 0.0) * side).long()
    pictures = tokens * marks.shape[1]
    first = torch.arange(0, pictures, tokens)
    wanted = torch.zeros(keys.shape[0], keys.shape[2], dtype=torch.bool)
    wanted.scatter_(1, first + cell[..., 1] * side + cell[..., 0], seen)
    words = slice(pictures, pictures + batch["tokens"].shape[1])
    taught = slice(0, keys.shape[1] // 2)
    scores = queries[:, taught, words] @ keys[:, taught].transpose(-1, -2) / keys.shape[-1] ** 0.5
    readable = padding.clone()
    readable[:, -1] = False  # the state token comes after the words
    scores = scores.masked_fill(~readable[:, None, None], -torch.inf)
    counted = seen.any(1)
    if not counted.any():
        return scores.new_zeros(())
    share = scores.log_softmax(-1).masked_fill(~wanted[:, None, None], -torch.inf).logsumexp(-1)
    said = batch["token_mask"][counted][:, None].expand(-1, share.shape[1], -1)
    return -share[counted][said].mean()


def backbone_output(
    policy: SmolVLAPolicy, features: list[Tensor], batch: dict[str, Tensor]
) -> Tensor:
    """Return what the backbone ends with, (R, T, d), state token last; see training_loss."""
    return _backbone(policy, features, batch)[0]


def _backbone(
    policy: SmolVLAPolicy, features: list[Tensor], batch: dict[str, Tensor]
) -> tuple[Tensor, Tensor, Any, Tensor]:
    """Return output (R, T, d), LOOKING_LAYER's queries, the cache, and which tokens count."""
    model = policy.model
    shown = [tokens[batch["picture"]] for tokens in features]
    present = [torch.ones(len(tokens), dtype=torch.bool) for tokens in shown]
    vlm = model.vlm_with_expert
    attention_of_layer = vlm.get_vlm_model().text_model.layers[LOOKING_LAYER].self_attn
    projected: list[Tensor] = []
    hook = attention_of_layer.q_proj.register_forward_hook(
        lambda _, inputs, output: projected.append(output)
    )
    with _pictures_embedded(policy):
        embeddings, padding, attention = model.embed_prefix(
            shown, present, batch["tokens"], batch["token_mask"], state=batch["state"]
        )
    positions = torch.cumsum(padding, dim=1) - 1
    (prefix, _), cache = vlm.forward(
        attention_mask=_mask_2d(padding, attention),
        position_ids=positions,
        past_key_values=None,
        inputs_embeds=[embeddings, None],
        use_cache=True,
    )
    hook.remove()
    queries = projected[0].unflatten(-1, (-1, attention_of_layer.head_dim))
    return prefix, apply_rope(queries, positions).transpose(1, 2), cache, padding


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
