"""What a policy family must offer to be read and steered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from vla_sae_ros.policy.families.chunk import PreviousChunk
from vla_sae_ros.policy.families.patches import CameraPatches
from vla_sae_ros.policy.families.site import Site

ResidualFunction = Callable[[Tensor], Tensor | None]
"""Gets the residual stream x (B, T, d) after a layer; returns what to add, or None for nothing."""

TokenMasks = Mapping[str, Tensor]
"""Token group -> (B, T) bool: the real (neither padded nor masked) tokens of that group."""


class Detachable(Protocol):
    """Something attached to a model that can be taken off again."""

    def remove(self) -> None: ...


class PolicyAdapter(Protocol):
    """One policy family: where its residual stream is and how its tokens lie."""

    @property
    def sites(self) -> Mapping[str, Site]:
        """Every site by name, in the order of the layers."""

    @property
    def noise_shape(self) -> tuple[int, int]:
        """(H, A) of the noise from which one chunk is denoised."""

    def attach(self, site: str, function: ResidualFunction) -> Detachable:
        """Call `function` with the residual stream after the site's layer, whenever it runs."""

    def token_masks(self, site: str, batch: Mapping[str, Tensor]) -> TokenMasks:
        """Return where the site's token groups lie for this preprocessed batch.

        One that cannot differ from the last inference's is best the same tensor, as `full_mask`'s.
        """

    def camera_patches(self, site: str, batch: Mapping[str, Tensor]) -> tuple[CameraPatches, ...]:
        """Return where each camera's tokens look, in token order; empty where no camera passes.

        Cameras that are missing from the batch, and filled up by the policy, are left out.
        """

    def predict(
        self, batch: dict[str, Tensor], noise: Tensor, previous: PreviousChunk | None = None
    ) -> Tensor:
        """Return the normalised action chunk (B, H, A), computed from noise (B, H, A_max).

        `previous` is what real-time chunking continues.

        Raises:
            ConfigurationError: a previous chunk, and the policy does no real-time chunking.
        """


def full_mask(batch_size: int, length: int, start: int, stop: int, device: torch.device) -> Tensor:
    """Return a (B, T) bool mask that is true from start to stop; see `spans_mask`."""
    return spans_mask(batch_size, length, ((start, stop),), device)


@lru_cache(maxsize=64)
def spans_mask(
    batch_size: int, length: int, spans: tuple[tuple[int, int], ...], device: torch.device
) -> Tensor:
    """Return a (B, T) bool mask that is true in all (start, stop): nobody may write to it.

    The same tensor for the same arguments, so that what is made of it is made once.
    """
    with torch.inference_mode(False):
        mask = torch.zeros(batch_size, length, dtype=torch.bool, device=device)
        for start, stop in spans:
            mask[:, start:stop] = True
    return mask
