"""What a tap saw in one inference, and its read-out: computed when the actions are out already.

A reading holds the residual stream of the site's last run. Its read-out is the same arithmetic as
the edits', but nobody waits for it: the engine hands over the chunk first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vla_sae_ros.core.readout import SiteReadout
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.taps.edit_plan import EditPlan
from vla_sae_ros.policy.taps.pooling import weighted_mean
from vla_sae_ros.policy.taps.shapes import PerToken, Stream
from vla_sae_ros.policy.taps.tokens import Groups, Tokens
from vla_sae_ros.sae import ActiveCode, SparseAutoencoder

TINY = 1e-12  # keeps divisions by a norm finite


@dataclass(frozen=True)
class LastRun:
    """The site's last run of an inference.

    Attributes:
        stream: (B, T, d), the residual stream before the edits.
        plan: the edits that acted in it, if any.
        code: of what the SAE read, (B, F) or (F,) pooled, or (B, T, F), where the edits needed it.
    """

    stream: Stream
    plan: EditPlan | None
    code: ActiveCode | None


class Strength(NamedTuple):  # made in every edited run: a dataclass takes twice the time
    """How strong one run's edits are: ||dx|| / scale before the cap, scale, ||x||, their scopes.

    Each (B, T, 1), or what broadcasts to it.
    """

    change_norm: PerToken
    scale: PerToken
    norm: PerToken
    scopes: tuple[Groups, ...]


@dataclass(frozen=True)
class Reading:
    """What one tap saw in one inference; tensors stay on their device.

    Attributes:
        name, site, sae, pooled, token_groups: the tap's.
        tokens: of the inference.
        last: the site's last run; None where it did not run, as it may.
        strengths: one per run in which edits acted.
        cap: largest ||dx|| / ||x|| per token.
        milliseconds: [ms] spent in the tap while the policy inferred.
    """

    name: str
    site: Site
    sae: SparseAutoencoder
    pooled: bool
    token_groups: Groups
    tokens: Tokens
    last: LastRun | None
    strengths: tuple[Strength, ...]
    cap: float
    milliseconds: float

    def readout(self) -> SiteReadout:
        """Return the active and the edited features; z is the largest over the samples.

        Of directions every one is active, and the largest is the one farthest from 0.
        """
        if self.last is None:
            return self._nothing_passed()
        stream = self.last.stream.to(torch.float32)
        normalised, code = self._encoded(stream, self.last.code)
        dense = self._largest(code)
        features, natural, reached = self._edited(code, self.last.plan)
        dense[features] = natural
        applied = dense.copy()
        applied[features] = reached
        shown = dense > 0 if not self.sae.signed else np.ones(len(dense), np.bool_)
        shown[features] = True
        if self.last.plan is not None:
            shown[list(self.last.plan.projected)] = True
        index = np.flatnonzero(shown)
        ratio, capped = self._strength()
        weights = self.tokens.mean_weights(self.token_groups)
        norm = weighted_mean(torch.linalg.vector_norm(stream, dim=-1, keepdim=True), weights).mean()
        return SiteReadout(
            self.name,
            index.astype(np.uint32),
            dense[index],
            applied[index],
            float(self.sae.fraction_unexplained(normalised, code)),
            float(norm),
            ratio,
            capped,
            self.milliseconds,
            code.unlisted(torch.from_numpy(index).to(stream.device)),
            weighted_mean(stream, weights)[0].cpu().numpy(),
        )

    def _largest(self, code: ActiveCode) -> np.ndarray:
        if self.sae.signed:
            assert code.dense is not None
            return _farthest(code.dense.cpu().numpy()).copy()
        dense = np.zeros(self.sae.dictionary_size, np.float32)
        np.maximum.at(dense, _flat(code.index), _flat(code.value))
        return dense

    def _nothing_passed(self) -> SiteReadout:
        none = np.zeros(0, np.float32)
        return SiteReadout(
            self.name,
            none.astype(np.uint32),
            none,
            none,
            math.nan,
            math.nan,
            0.0,
            False,
            self.milliseconds,
        )

    def _encoded(self, stream: Tensor, code: ActiveCode | None) -> tuple[Tensor, ActiveCode]:
        """Return the N normalised samples (N, d) that the SAE reads, and their code (N, F).

        A sample is the pooled vector or a token; tokens that the SAE does not read are left out.
        """
        if self.pooled:
            read = weighted_mean(stream, self.tokens.mean_weights(self.token_groups))
            code = None if code is None else code.samples()
        else:
            mask = self.tokens.mask(self.token_groups)
            read, code = stream[mask], None if code is None else code.at(mask)
        normalised = self.sae.normalize(read)[0]
        return normalised, self.sae.encode_normalized(normalised) if code is None else code

    def _edited(
        self, code: ActiveCode, plan: EditPlan | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the edited features, each once, and their largest z and z' over the samples."""
        if plan is None or not len(plan.features):
            return np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32)
        z = code.of(plan.features)
        change = plan.code_change(z)
        if not self.pooled:
            scopes = self.tokens.scopes(plan.scopes)[self.tokens.mask(self.token_groups)]
            change = change * scopes[..., : change.shape[-1]]
        features, first, place = np.unique(
            plan.features.cpu().numpy(), return_index=True, return_inverse=True
        )
        natural = z.cpu().numpy()[:, first]
        reached = natural.copy()
        # Two edits of one feature, one fading out and one fading in, add up.
        np.add.at(reached.T, place, change.cpu().numpy().T)
        if self.sae.signed:
            return features, _farthest(natural), _farthest(reached)
        return features, natural.max(0), reached.max(0)

    def _strength(self) -> tuple[float, bool]:
        """Return the largest mean ||dx|| / ||x|| of the runs, after the cap, and if it capped."""
        largest, capped = 0.0, False
        for run in self.strengths:
            touched = self.tokens.scopes(run.scopes).any(-1)
            edit_norm = run.change_norm * run.scale
            ratio = (edit_norm / run.norm.clamp_min(TINY))[..., 0][touched]
            if ratio.numel():
                largest = max(largest, float(ratio.clamp_max(self.cap).mean()))
                capped = capped or bool((ratio > self.cap).any())
        return largest, capped


def _farthest(values: np.ndarray) -> np.ndarray:
    """Return (n,), of the samples (N, n) each column's value farthest from 0."""
    farthest: np.ndarray = values[np.abs(values).argmax(axis=0), np.arange(values.shape[1])]
    return farthest


def _flat(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy().ravel()
