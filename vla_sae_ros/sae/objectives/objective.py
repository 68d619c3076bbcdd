"""What a kind of autoencoder must offer to be trained."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from vla_sae_ros.sae.kinds.sparse_autoencoder import SparseAutoencoder
from vla_sae_ros.sae.objectives.gradients import Step, Total
from vla_sae_ros.sae.shapes import Batch, FeatureMask, PerDimension


class Objective(Protocol):
    """The trainable weights of one kind of autoencoder, and its loss.

    It sees samples that were centred and scaled by one number, so that learning rates do not
    depend on the size of the activations.
    """

    @property
    def weights(self) -> list[Tensor]:
        """What is trained, in the order of `Step.gradients`; changed in place by the optimiser."""

    @property
    def decoder(self) -> Tensor:
        """The decoder (F, d) among the weights; its rows are kept at unit length."""

    @property
    def memory(self) -> dict[str, Tensor]:
        """What else a step depends on, by name; changed in place, belongs into a checkpoint."""

    def step(self, x: Batch, dead: FeatureMask, total: Total) -> Step:
        """Return loss and gradients for this process' part x (B, d) of a batch.

        `dead` (F,) bool: features that have not fired for long.
        """

    def start_from(self, sae: SparseAutoencoder, centre: PerDimension, scale: float) -> None:
        """Take the weights of an autoencoder of this kind, the inverse of `autoencoder`."""

    def autoencoder(
        self, centre: PerDimension, scale: float, normalization: str
    ) -> SparseAutoencoder:
        """Return the autoencoder for samples x_n = centre + scale * what was trained on."""
