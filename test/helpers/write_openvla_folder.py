"""Write a random OpenVLA folder whose code comes with it; run by a Python of OpenVLA's environment.

OpenVLA's own code is in no package: the code in here is a stand-in for it round a real Llama.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import torch

CONFIGURATION = """
from transformers import PretrainedConfig


class NearestConfig(PretrainedConfig):
    model_type = "openvla"
"""
MODELING = """
from types import SimpleNamespace

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from .configuration_nearest import NearestConfig

EMPTY, ACTIONS, WIDTH, VOCABULARY = 29871, 7, 32, 30000
TEXT = dict(
    hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=4, vocab_size=VOCABULARY, pad_token_id=0, eos_token_id=None,
)


class Nearest(PreTrainedModel):
    config_class = NearestConfig

    def __init__(self, config):
        super().__init__(config)
        self.language_model = LlamaForCausalLM(LlamaConfig(**TEXT))
        self.patch = nn.Conv2d(6, WIDTH, 16, 16)
        self.projector = nn.Identity()
        patch_embed = SimpleNamespace(patch_size=(16, 16))
        self.vision_backbone = SimpleNamespace(featurizer=SimpleNamespace(patch_embed=patch_embed))
        self.norm_stats = {}

    def _init_weights(self, module):
        pass

    def get_action_dim(self, unnorm_key=None):
        return ACTIONS

    def predict_action(self, input_ids, pixel_values, **others):
        if input_ids[0, -1] != EMPTY:
            input_ids = torch.cat([input_ids, torch.tensor([[EMPTY]])], 1)
        words = self.language_model.get_input_embeddings()(input_ids)
        patches = self.projector(self.patch(pixel_values).flatten(2).transpose(1, 2))
        prompt = torch.cat([words[:, :1], patches, words[:, 1:]], 1)
        run = self.language_model(inputs_embeds=prompt, use_cache=True)
        tokens = [run.logits[:, -1].argmax(-1, keepdim=True)]
        while len(tokens) < ACTIONS:
            run = self.language_model(tokens[-1], past_key_values=run.past_key_values)
            tokens.append(run.logits[:, -1].argmax(-1, keepdim=True))
        return torch.cat(tokens, 1)[0].numpy() / VOCABULARY
"""
PROCESSING = """
import numpy as np
import torch


class NearestProcessor:
    @classmethod
    def from_pretrained(cls, *args, **settings):
        return cls()

    @classmethod
    def register_for_auto_class(cls, *args):
        pass

    def __call__(self, prompt, picture, return_tensors):
        one = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None] / 255.0
        letters = torch.tensor([[1, *(3 + ord(letter) for letter in prompt)]])
        return {"input_ids": letters, "pixel_values": torch.cat([one, one], 1)}
"""
AUTO_MAP = {
    "AutoConfig": "configuration_nearest.NearestConfig",
    "AutoModelForVision2Seq": "modeling_nearest.Nearest",
    "AutoProcessor": "processing_nearest.NearestProcessor",
}


def write(folder: Path) -> None:
    for name, code in (
        ("configuration", CONFIGURATION),
        ("modeling", MODELING),
        ("processing", PROCESSING),
    ):
        (folder / f"{name}_nearest.py").write_text(code)
    sys.path.insert(0, str(folder.parent))
    modeling = importlib.import_module(f"{folder.name}.modeling_nearest")
    torch.manual_seed(0)
    model = modeling.Nearest(modeling.NearestConfig())
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text()) | {"auto_map": AUTO_MAP}
    (folder / "config.json").write_text(json.dumps(config))
    processor = {"auto_map": {"AutoProcessor": AUTO_MAP["AutoProcessor"]}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    numbers = {"q01": [-1.0] * 7, "q99": [1.0] * 7}
    statistics = json.dumps({"libero": {"action": numbers}})
    (folder / "dataset_statistics.json").write_text(statistics)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
