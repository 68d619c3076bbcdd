"""Instructions as tokens, and where the token groups lie for one of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from vla_sae_ros.policy.onnx.description import Description, PromptRule
from vla_sae_ros.policy.onnx.names import TOKENIZER
from vla_sae_ros.policy.onnx.slots import GroupMasks


class Prompt:
    """Turns instructions into tokens; the last one is kept, because it seldom changes."""

    def __init__(self, folder: Path, rule: PromptRule) -> None:
        self._rule = rule
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(rule.max_length)
        self._kept: tuple[str, np.ndarray, np.ndarray] | None = None

    def encode(self, instruction: str) -> tuple[np.ndarray, np.ndarray]:
        """Return tokens (1, L) int64 and which of them are real (1, L) bool."""
        if self._kept is None or self._kept[0] != instruction:
            self._kept = instruction, *self._encode(instruction)
        return self._kept[1:]

    def _encode(self, instruction: str) -> tuple[np.ndarray, np.ndarray]:
        ending = self._rule.ending
        text = instruction if instruction.endswith(ending) else instruction + ending
        ids = self._tokenizer.encode(text).ids
        length = self._rule.max_length if self._rule.padded else len(ids)
        tokens = np.full((1, length), self._rule.pad_id, np.int64)
        tokens[0, : len(ids)] = ids
        return tokens, np.arange(length)[None] < len(ids)


def prefix_masks(description: Description, token_mask: np.ndarray) -> GroupMasks:
    """Return where the backbone's token groups lie, for the mask (1, L) of an instruction."""
    start = description.language_start
    end = start + token_mask.shape[1]
    masks = {name: np.zeros(end + 1, bool) for name in ("camera", "language", "state")}
    for first, last in description.camera_spans:
        masks["camera"][first:last] = True
    masks["language"][start:end] = token_mask[0]
    masks["state"][end] = True
    return masks


def suffix_masks(description: Description) -> GroupMasks:
    """Return where the action expert's token groups lie."""
    return {"action": np.ones(description.noise_shape[0], bool)}
