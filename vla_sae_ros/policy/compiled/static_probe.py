"""A probe that is part of a compiled graph: it copies the stream into a buffer that stays."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vla_sae_ros.core.errors import ObservationError, complaint
from vla_sae_ros.policy.taps.probe import Probe
from vla_sae_ros.policy.taps.tokens import Tokens


class StaticProbe(Probe):
    """A `Probe` for a batch of one whose call can be compiled. The first `begin` sizes its buffer.

    Raises of `begin`:
        ObservationError: another number of tokens than the first time.
    """

    _kept: _Kept | None = None

    def begin(self, tokens: Tokens) -> None:
        super().begin(tokens)
        mask = tokens.mask(self._token_groups)
        if self._kept is None:
            with torch.inference_mode(False):
                self._kept = _Kept(mask.shape[-1], self.site.width, mask.device)
        held = self._kept.stream
        if held.shape[1] != mask.shape[-1]:
            raise ObservationError(
                complaint(
                    f"tokens that pass {self.site.name} of a compiled policy",
                    mask.shape[-1],
                    f"{held.shape[1]}, as when it was compiled",
                    "Give the same cameras in the same sizes, or do not compile the policy.",
                )
            )
        self._last = held

    def __call__(self, x: Tensor) -> None:
        """Keep the residual stream x (1, T, d) of this run in the place of the run before."""
        assert self._kept is not None
        self._kept(x)


class _Kept(nn.Module):
    """stream: (1, T, d) float32, of the site's last run."""

    stream: Tensor

    def __init__(self, tokens: int, width: int, device: torch.device) -> None:
        super().__init__()
        self.register_buffer("stream", torch.zeros(1, tokens, width, device=device))

    def forward(self, x: Tensor) -> None:
        self.stream.copy_(x)
