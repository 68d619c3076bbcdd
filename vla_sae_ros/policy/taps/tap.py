"""A tap: an SAE on one site, which adds the edits' difference and keeps what it saw.

The residual changes by the difference only, x' = x + sum_j (z'_j - z_j) d_j in the SAE's own
normalisation; the reconstruction is never substituted. Without an edit that changes something the
tap returns nothing, so the policy's actions are bit-identical to the untapped ones.

While the policy infers, a tap computes only what the edits need. What is read out for people is
computed from the `Reading` afterwards, see there.
"""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor

from vla_sae_ros.core.steering import AppliedEdit
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.taps.edit_plan import EditPlan, EditPlans
from vla_sae_ros.policy.taps.pooling import float32, weighted_mean, weighted_mean_of_one
from vla_sae_ros.policy.taps.reading import LastRun, Reading, Strength
from vla_sae_ros.policy.taps.tokens import Groups, Tokens
from vla_sae_ros.sae import ActiveCode, SparseAutoencoder


class Tap:
    """Edits one site. One inference is `begin`, the site's runs, then `reading`.

    Args:
        site: where it sits.
        sae: the autoencoder, in float32 on the policy's device.
        pooled: True: z comes from the mean over the tokens and the same difference goes to every
            token in scope. False: every token has its own z.
        token_groups: tokens the SAE reads; empty = all of the site.
        name: under which it is read and edited; empty = the site's own.
    """

    def __init__(
        self,
        site: Site,
        sae: SparseAutoencoder,
        pooled: bool,
        token_groups: Groups = (),
        name: str = "",
    ) -> None:
        self.site, self.name = site, name or site.name
        self.sae = sae.without_input_bias()
        self.pooled = pooled
        self.token_groups = token_groups or site.token_groups
        self._edits: tuple[AppliedEdit, ...] = ()
        self._plans = self._planned(())
        self._cap, self._cap_tensor = math.inf, sae.W_dec.new_tensor(math.inf)
        self._limits: dict[tuple[Groups, ...], tuple[Tensor, Tensor]] = {}
        self._one = sae.W_dec.new_ones(())

    def begin(self, tokens: Tokens, edits: tuple[AppliedEdit, ...], cap: float) -> None:
        """Prepare for one inference.

        Args:
            tokens: of this inference.
            edits: those of this site, none of them neutral.
            cap: largest ||dx|| / ||x|| per token.
        """
        if edits != self._edits:
            self._edits, self._plans = edits, self._planned(edits)
            self._limits.clear()
        if cap != self._cap:
            # A tensor: torch converts a Python number in every product.
            self._cap, self._cap_tensor = cap, self.sae.W_dec.new_tensor(cap)
            self._limits.clear()
        self._tokens = tokens
        self._mean: Tensor | None = None
        self._step = 0
        self._seconds = 0.0
        self._strengths: list[Strength] = []
        self._last: LastRun | None = None

    def __call__(self, x: Tensor) -> Tensor | None:
        """See the residual stream x (B, T, d); return what to add to it, or None."""
        started = time.perf_counter()
        plan = self._plans.at(self._step)
        self._step += 1
        delta, code = (None, None) if plan is None else self._edit(x, plan)
        if self.site.may_stop_early or self._step == self.site.runs_per_inference:
            self._last = LastRun(x, plan, code)
        self._seconds += time.perf_counter() - started
        return delta

    def scale(self, x: Tensor, tokens: Tokens) -> Tensor:
        """Return by what a change of the code times its row is multiplied in a stream x (B, T, d).

        (B, 1, 1) pooled, else (B, T, 1): the scale of the SAE's normalisation.
        """
        stream = float32(x)
        if not self.pooled:
            return self.sae.normalize(stream)[1]
        read = weighted_mean(stream, tokens.mean_weights(self.token_groups))
        return self.sae.normalize(read)[1].unsqueeze(1)

    def count_jointly(self, change_norm: Tensor, norm: Tensor) -> None:
        """Let the last run's strength be that of all taps of its layer together.

        change_norm, norm: (B, T, 1), ||dx|| before their common cap and ||x||.
        """
        scopes = self._strengths[-1].scopes
        self._strengths[-1] = Strength(change_norm, self._one, norm, scopes)

    @property
    def cap(self) -> float:
        """Largest ||dx|| / ||x|| per token in this inference."""
        return self._cap

    def reading(self) -> Reading:
        """Return what this inference leaves to be read out; valid as long as it is kept.

        Raises:
            RuntimeError: the site did not run as often as it should.
        """
        if not self.site.ran_as_often_as_it_should(self._step):
            raise RuntimeError(
                f"{self.site.name} ran {self._step} times, not {self.site.runs_per_inference}"
            )
        return Reading(
            self.name,
            self.site,
            self.sae,
            self.pooled,
            self.token_groups,
            self._tokens,
            self._last,
            tuple(self._strengths),
            self._cap,
            self._seconds * 1e3,
        )

    def _planned(self, edits: tuple[AppliedEdit, ...]) -> EditPlans:
        return EditPlans(edits, self.sae, self.pooled, self.site.token_groups)

    def _edit(self, x: Tensor, plan: EditPlan) -> tuple[Tensor, ActiveCode | None]:
        """Return dx (B, T, d), and the code where it was needed."""
        stream = float32(x)
        change, scale, code = self._change(stream, plan)
        change_norm = torch.linalg.vector_norm(change, dim=-1, keepdim=True)
        norm = torch.linalg.vector_norm(stream, dim=-1, keepdim=True)
        self._strengths.append(Strength(change_norm, scale, norm, plan.scopes))
        delta = change * self._share(plan, change_norm, scale, norm)
        return delta if x.dtype is torch.float32 else delta.to(x.dtype), code

    def _change(self, stream: Tensor, plan: EditPlan) -> tuple[Tensor, Tensor, ActiveCode | None]:
        """Return dx / scale, (B, T, d) or, where every token changes alike, (B, 1, d) or (d,).

        Beside it its scale, (1,) or (), and the code. An only scope is left to `_share`.
        """
        if plan.pooled is not None and len(stream) == 1:
            pooled = weighted_mean_of_one(stream, self._weights())
            normalised, scale, _shift = self.sae.normalize(pooled)
            change, code = plan.pooled(normalised)
            return change, scale, code
        amounts, code_or_none = self._amounts(stream, plan)
        if not plan.one_scope:
            amounts = amounts * self._tokens.scopes(plan.scopes)
        return torch.matmul(amounts, plan.rows), self._one, code_or_none

    def _weights(self) -> Tensor:
        if self._mean is None:
            self._mean = self._tokens.mean_weights(self.token_groups)
        return self._mean

    def _share(self, plan: EditPlan, change_norm: Tensor, scale: Tensor, norm: Tensor) -> Tensor:
        """Return by what dx / scale is multiplied, (B, T, 1) or less, after cap and only scope."""
        if self._cap == math.inf:
            return self._tokens.scopes(plan.scopes) * scale if plan.one_scope else scale
        # fmin passes by the 0 / 0 of a token that does not change.
        return torch.fmin((norm * self._limit(plan)).div_(change_norm), scale)

    def _limit(self, plan: EditPlan) -> Tensor:
        """Return the cap of each token; 0, where there is one scope, for tokens out of it."""
        if not plan.one_scope:
            return self._cap_tensor
        scope = self._tokens.scopes(plan.scopes)
        kept = self._limits.get(plan.scopes)
        if kept is None or kept[0] is not scope:
            kept = self._limits[plan.scopes] = scope, scope * self._cap_tensor
        return kept[1]

    def _amounts(self, stream: Tensor, plan: EditPlan) -> tuple[Tensor, ActiveCode | None]:
        """Return by how much of each of the plan's rows x changes, (B, T or 1, n + m)."""
        parts, code = [], None
        if len(plan.features):
            read = weighted_mean(stream, self._weights()) if self.pooled else stream
            normalised, scale, _shift = self.sae.normalize(read)
            change, code = plan.change_of(self.sae, normalised)
            amounts = change * scale
            parts.append(amounts.unsqueeze(1) if self.pooled else amounts)
        if len(plan.directions):
            parts.append(-(stream @ plan.directions.T))
        if len(parts) == 1:
            return parts[0], code
        return torch.cat([part.expand(*stream.shape[:2], -1) for part in parts], dim=-1), code
