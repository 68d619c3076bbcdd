"""A tap: an SAE on one site, which reads the active features and adds the edits' difference.

The residual changes by the difference only, x' = x + sum_j (z'_j - z_j) d_j in the SAE's own
normalisation; the reconstruction is never substituted. Without an edit that changes something the
tap returns nothing, so the policy's actions are bit-identical to the untapped ones.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vla_sae_ros.core.readout import SiteReadout
from vla_sae_ros.core.steering import AppliedEdit
from vla_sae_ros.policy.adapter import TokenMasks
from vla_sae_ros.policy.edit_plan import EditGroup, plan_edits
from vla_sae_ros.policy.pooling import mean_weights, union, weighted_mean
from vla_sae_ros.policy.site import Site
from vla_sae_ros.sae import ActiveCode, SparseAutoencoder

TINY = 1e-12  # keeps divisions by a norm finite


@dataclass(frozen=True)
class _Change:
    """Edited features of one scope: ids (n,), z and z' - z, each (..., n)."""

    features: Tensor
    natural: Tensor
    difference: Tensor

    def of(self, samples: Tensor) -> _Change:
        """Return the change of these samples only."""
        return _Change(self.features, self.natural[samples], self.difference[samples])


@dataclass
class _Reading:
    """What one run leaves for the read-out, over N samples; tensors stay on their device.

    A sample is a pooled vector or a token that the SAE reads.
    """

    natural: ActiveCode
    edited: tuple[_Change, ...]
    fvu: Tensor
    residual_norm: Tensor


class Tap:
    """Reads and edits one site. One inference is `begin`, the site's runs, then `readout`.

    Args:
        site: where it sits.
        sae: the autoencoder, in float32 on the policy's device.
        pooled: True: z comes from the mean over the tokens and the same difference goes to every
            token in scope. False: every token has its own z.
        token_groups: tokens the SAE reads; empty = all of the site.
    """

    def __init__(
        self, site: Site, sae: SparseAutoencoder, pooled: bool, token_groups: tuple[str, ...] = ()
    ) -> None:
        self.site = site
        self.sae = sae
        self.pooled = pooled
        self.token_groups = token_groups or site.token_groups
        self._edits: tuple[AppliedEdit, ...] = ()
        self._plan: tuple[EditGroup, ...] = ()
        self._cap = float("inf")

    def begin(self, masks: TokenMasks, edits: tuple[AppliedEdit, ...], cap: float) -> None:
        """Prepare for one inference.

        Args:
            masks: token group -> (B, T) bool.
            edits: those of this site, none of them neutral.
            cap: largest ||dx|| / ||x|| per token.
        """
        if edits != self._edits:
            self._edits, self._plan = edits, plan_edits(edits, self.sae.W_dec.detach())
        self._cap = cap
        self._read_mask = union(masks, self.token_groups)
        self._read_weight = mean_weights(self._read_mask)
        self._scopes = tuple(
            union(masks, group.token_groups or self.site.token_groups)[..., None]
            for group in self._plan
        )
        self._step = 0
        self._seconds = 0.0
        self._ratios: list[tuple[Tensor, list[int]]] = []  # per run: ||dx|| / ||x||, the scopes
        self._reading: _Reading | None = None

    def __call__(self, x: Tensor) -> Tensor | None:
        """Read the residual stream x (B, T, d); return what to add to it, or None."""
        started = time.perf_counter()
        delta = self._run(x)
        self._step += 1
        self._seconds += time.perf_counter() - started
        return delta

    def _run(self, x: Tensor) -> Tensor | None:
        acting = [n for n, group in enumerate(self._plan) if group.acts_at(self._step)]
        is_last = self._step == self.site.runs_per_inference - 1
        if not acting and not is_last:
            return None
        stream = x.to(torch.float32)
        read = self._what_the_sae_reads(stream)
        normalised, scale, _shift = self.sae.normalize(read)
        natural = self.sae.encode_normalized(normalised)
        changes = tuple(self._change(self._plan[n], natural) for n in acting)
        if is_last:
            self._keep(stream, normalised, natural, changes)
        if not acting:
            return None
        return self._delta(stream, acting, changes, scale).to(x.dtype)

    def _change(self, group: EditGroup, natural: ActiveCode) -> _Change:
        z = natural.of(group.features)
        return _Change(group.features, z, group.code_change(z))

    def _what_the_sae_reads(self, stream: Tensor) -> Tensor:
        """Return (B, d) pooled over the SAE's tokens, or the stream (B, T, d) itself."""
        return weighted_mean(stream, self._read_weight) if self.pooled else stream

    def _delta(
        self, stream: Tensor, acting: list[int], changes: tuple[_Change, ...], scale: Tensor
    ) -> Tensor:
        delta = torch.zeros_like(stream)
        for n, change in zip(acting, changes, strict=True):
            group = self._plan[n]
            whole = (change.difference @ group.rows) * scale
            whole = whole[:, None] if self.pooled else whole
            if len(group.directions):
                whole = whole + group.project_out(stream)
            delta = torch.addcmul(delta, whole, self._scopes[n].to(delta.dtype))
        ratio = delta.norm(dim=-1) / stream.norm(dim=-1).clamp_min(TINY)
        self._ratios.append((ratio, acting))
        return delta * (self._cap / ratio.clamp_min(TINY)).clamp_max(1.0)[..., None]

    def _keep(
        self,
        stream: Tensor,
        normalised: Tensor,
        natural: ActiveCode,
        changes: tuple[_Change, ...],
    ) -> None:
        if not self.pooled:
            normalised, natural = normalised[self._read_mask], natural.at(self._read_mask)
            changes = tuple(change.of(self._read_mask) for change in changes)
        norm = (stream.norm(dim=-1) * self._read_weight).sum(1).mean()
        fvu = self.sae.fraction_unexplained(normalised, natural)
        self._reading = _Reading(natural, changes, fvu, norm)

    def readout(self) -> SiteReadout:
        """Return what was read since `begin`; z is the largest over the samples."""
        reading = self._reading
        if reading is None:
            raise RuntimeError(
                f"{self.site.name} ran {self._step} times, not {self.site.runs_per_inference}"
            )
        dense = np.zeros(self.sae.dictionary_size, np.float32)
        np.maximum.at(dense, _flat(reading.natural.index), _flat(reading.natural.value))
        change = np.zeros_like(dense)
        shown = dense > 0
        for edited in reading.edited:
            features = _flat(edited.features)
            dense[features] = _flat(edited.natural.amax(0))
            reached = edited.natural + edited.difference
            np.add.at(change, features, _flat(reached.amax(0) - edited.natural.amax(0)))
            shown[features] = True
        index = np.flatnonzero(shown)
        ratio, capped = self._strength()
        return SiteReadout(
            self.site.name,
            index.astype(np.uint32),
            dense[index],
            (dense + change)[index],
            float(reading.fvu),
            float(reading.residual_norm),
            ratio,
            capped,
            self._seconds * 1e3,
            reading.natural.unlisted(*(change.features for change in reading.edited)),
        )

    def _strength(self) -> tuple[float, bool]:
        """Return the largest mean ||dx|| / ||x|| of the runs, after the cap, and if it capped."""
        largest, capped = 0.0, False
        for ratio, acting in self._ratios:
            touched = torch.stack([self._scopes[n][..., 0] for n in acting]).any(0)
            edited = ratio[touched]
            largest = max(largest, float(edited.clamp_max(self._cap).mean()))
            capped = capped or bool((edited > self._cap).any())
        return largest, capped


def _flat(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy().ravel()
