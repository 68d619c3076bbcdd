"""A stand-in for the FAST action tokenizer, whose code comes with it from the hub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from scipy.fft import dct

SEAMS = ("lerobot.policies.pi0_fast.modeling_pi0_fast", "lerobot.processor.tokenizer_processor")
"""Modules of lerobot's that ask transformers' AutoProcessor for the action tokenizer."""


class StandInFastTokenizer:
    """What lerobot uses of FAST: call, `bpe_tokenizer.decode`, `min_token` and `scale`.

    One character per token where FAST merges pairs; no model was fitted.
    """

    min_token, scale, characters = -8, 10.0, 16

    def __init__(self) -> None:
        self.bpe_tokenizer = SimpleNamespace(decode=self._decode)

    @classmethod
    def from_pretrained(cls, _name: str, **_settings: Any) -> StandInFastTokenizer:
        return cls()

    def __call__(self, actions: Any) -> list[list[int]]:
        """Return the tokens of each chunk of actions (B, H, A)."""
        coefficients = np.round(dct(np.asarray(actions), axis=1, norm="ortho") * self.scale)
        shifted = coefficients.astype(int) - self.min_token
        return [list(chunk.ravel() % self.characters) for chunk in shifted]

    def _decode(self, tokens: Iterable[int]) -> str:
        return "".join(chr(int(token) % self.characters) for token in tokens)


@contextmanager
def stand_in_for_fast() -> Iterator[None]:
    """Let lerobot load the stand-in where it would load FAST's code from the hub."""
    with (
        patch(f"{SEAMS[0]}.AutoProcessor", StandInFastTokenizer),
        patch(f"{SEAMS[1]}.AutoProcessor", StandInFastTokenizer),
    ):
        yield
