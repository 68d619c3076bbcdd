"""Instructions as tokens, and where the token groups lie for one of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from vla_sae_ros.policy.onnx.description import Description, PromptRule
from vla_sae_ros.policy.onnx.names import IN_PREFIX, IN_SUFFIX, TOKENIZER
from vla_sae_ros.policy.onnx.slots import GroupMasks

_DIGITS = np.linspace(-1, 1, 256 + 1)[:-1]
"""Lower ends of the 256 bins of pi0.5's states."""


class Prompt:
    """Turns instructions into tokens; the last one is kept, because it seldom changes."""

    def __init__(self, folder: Path, rule: PromptRule) -> None:
        self._rule = rule
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(rule.max_length)
        self._kept: tuple[str, np.ndarray, np.ndarray] | None = None

    def encode(self, instruction: str, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return tokens (1, L) int64 and which of them are real (1, L) bool.

        state: (n,) float32, normalised; read where the prompt holds it.
        """
        text = self._text(instruction, state)
        if self._kept is None or self._kept[0] != text:
            self._kept = text, *self._encode(text)
        return self._kept[1:]

    def _text(self, instruction: str, state: np.ndarray) -> str:
        if self._rule.with_state:
            task = instruction.strip().replace("_", " ").replace("\n", " ")
            digits = " ".join(map(str, np.digitize(state, _DIGITS) - 1))
            return f"Task: {task}, State: {digits};\nAction: "
        ending = self._rule.ending
        return instruction if instruction.endswith(ending) else instruction + ending

    def _encode(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        ids = self._tokenizer.encode(text).ids
        length = self._rule.max_length if self._rule.padded else len(ids)
        tokens = np.full((1, length), self._rule.pad_id, np.int64)
        tokens[0, : len(ids)] = ids
        return tokens, np.arange(length)[None] < len(ids)


def prefix_masks(description: Description, token_mask: np.ndarray) -> GroupMasks:
    """Return where the backbone's token groups lie, for the mask (1, L) of an instruction."""
    start = description.language_start
    end = start + token_mask.shape[1]
    has_state = description.state_place == IN_PREFIX
    groups = ("camera", "language", "state") if has_state else ("camera", "language")
    masks = {name: np.zeros(end + has_state, bool) for name in groups}
    for first, last in description.camera_spans:
        masks["camera"][first:last] = True
    masks["language"][start:end] = token_mask[0]
    if has_state:
        masks["state"][end] = True
    return masks


def suffix_masks(description: Description) -> GroupMasks:
    """Return where the action expert's token groups lie."""
    first = int(description.state_place == IN_SUFFIX)
    is_action = np.arange(first + description.noise_shape[0]) >= first
    return {"state": ~is_action, "action": is_action} if first else {"action": is_action}
