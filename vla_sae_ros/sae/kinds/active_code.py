"""The code of some samples as the features that are active in them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vla_sae_ros.sae.shapes import (
    ChosenCodes,
    Codes,
    FeatureCounts,
    Features,
    ListedFeatures,
    ListedValues,
)


@dataclass(frozen=True)
class ActiveCode:
    """Codes as lists of at most k features per sample, exact for any feature asked for.

    index: (..., k) int64, in no order. value: (..., k) >= 0, 0 where the list is padded.
    dense: (..., F), for an autoencoder in which more than k features may be active; None where
    the lists say everything.
    """

    index: ListedFeatures
    value: ListedValues
    dense: Codes | None = None

    def of(self, features: Features) -> ChosenCodes:
        """Return the code (..., n) of `features` (n,), whether the lists hold them or not.

        Meant for the few features being edited: it compares n x k indices per sample.
        """
        if self.dense is not None:
            return self.dense[..., features]
        matches = self.index.unsqueeze(-2) == features.unsqueeze(-1)
        return (self.value.unsqueeze(-2) * matches).sum(dim=-1)

    def at(self, samples: Tensor) -> ActiveCode:
        """Return the code of the samples that the bool mask or index `samples` picks."""
        dense = None if self.dense is None else self.dense[samples]
        return ActiveCode(self.index[samples], self.value[samples], dense)

    def samples(self) -> ActiveCode:
        """Return the same with one dimension (N, ...) in front, 1 for a single sample."""
        dense = None if self.dense is None else self.dense.reshape(-1, self.dense.shape[-1])
        k = self.index.shape[-1]
        return ActiveCode(self.index.reshape(-1, k), self.value.reshape(-1, k), dense)

    def times_active(self, size: int) -> FeatureCounts:
        """Return (F,) int64: in how many samples each of the F = `size` features is active."""
        if self.dense is not None:
            return (self.dense > 0).reshape(-1, size).sum(dim=0)
        return torch.bincount(self.index[self.value > 0], minlength=size)

    def unlisted(self, *known: Features) -> int:
        """Return how many features are active in some sample and neither listed nor `known`.

        known: tensors (n,) of features.
        """
        if self.dense is None:
            return 0
        active = (self.dense > 0).reshape(-1, self.dense.shape[-1]).any(dim=0)
        for listed in (self.index[self.value > 0], *known):
            active[listed] = False
        return int(active.sum())
