"""Stand-ins for OpenVLA's modelling code, which is in no package, round real classes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn

from vla_sae_ros.policy.families.openvla import EMPTY_TOKEN

LAYERS, WIDTH, VOCABULARY, ACTIONS = 3, 32, 30000, 7
TEXT = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": VOCABULARY,
    "pad_token_id": 0,
    "eos_token_id": None,
}


class NearestOpenVLA(nn.Module):
    """Stand-in for OpenVLA's classes round a real LlamaForCausalLM: patches, prompt, decoding."""

    def __init__(self) -> None:
        super().__init__()
        self.language_model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**TEXT))
        self.patch = nn.Conv2d(6, WIDTH, 16, 16)
        self.projector = nn.Identity()
        patch_embed = SimpleNamespace(patch_size=(16, 16))
        self.vision_backbone = SimpleNamespace(featurizer=SimpleNamespace(patch_embed=patch_embed))
        self.norm_stats: dict[str, Any] = {}

    def get_action_dim(self, _unnorm_key: str | None = None) -> int:
        return ACTIONS

    def predict_action(self, input_ids: Tensor, pixel_values: Tensor, **_others: Any) -> np.ndarray:
        if input_ids[0, -1] != EMPTY_TOKEN:
            input_ids = torch.cat([input_ids, torch.tensor([[EMPTY_TOKEN]])], 1)
        words = self.language_model.get_input_embeddings()(input_ids)
        patches = self.projector(self.patch(pixel_values).flatten(2).transpose(1, 2))
        run = self.language_model(
            inputs_embeds=torch.cat([words[:, :1], patches, words[:, 1:]], 1), use_cache=True
        )
        tokens = [run.logits[:, -1].argmax(-1, keepdim=True)]
        while len(tokens) < ACTIONS:
            run = self.language_model(tokens[-1], past_key_values=run.past_key_values)
            tokens.append(run.logits[:, -1].argmax(-1, keepdim=True))
        return torch.cat(tokens, 1)[0].numpy() / VOCABULARY


class NearestProcessor:
    """Stand-in for its processor: one token per letter, the picture twice, 224 x 224."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, np.ndarray]] = []

    def __call__(self, prompt: str, picture: Any, return_tensors: str) -> dict[str, Tensor]:
        pixels = np.asarray(picture)
        self.asked.append((prompt, pixels))
        one = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255.0
        letters = torch.tensor([[1, *(3 + ord(letter) for letter in prompt)]])
        return {
            "input_ids": letters,
            "attention_mask": torch.ones_like(letters),
            "pixel_values": torch.cat([one, one], 1),
        }


def random_openvla() -> NearestOpenVLA:
    """Return a model of random weights."""
    torch.manual_seed(0)
    made = NearestOpenVLA()
    for parameter in made.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return made.eval()
