"""A tap that is part of a compiled graph: it always adds a difference, exactly zero without edits.

`policy.taps.tap.Tap` computes what this inference's edits need and nothing else, in Python. Here
Python runs when the graph is made and never again: what changes lies in buffers that are written
before an inference, and what was seen lies in buffers that are read after it. No operation asks a
tensor for a number and no shape depends on one, so that a CUDA graph can hold it, too.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vla_sae_ros.core.errors import ObservationError, complaint
from vla_sae_ros.core.steering import AppliedEdit
from vla_sae_ros.policy.compiled.edit_buffers import EditBuffers
from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.taps.reading import LastRun, Reading, Strength
from vla_sae_ros.policy.taps.tap import Tap
from vla_sae_ros.policy.taps.tokens import Groups, Tokens
from vla_sae_ros.sae import SparseAutoencoder


class StaticTap(Tap):
    """A `Tap` for a batch of one whose call can be compiled. The first `begin` sizes its buffers.

    Raises of `begin`:
        ObservationError: another number of tokens than the first time, or too many edits.
    """

    def __init__(
        self,
        site: Site,
        sae: SparseAutoencoder,
        pooled: bool,
        token_groups: Groups = (),
        name: str = "",
    ) -> None:
        super().__init__(site, sae, pooled, token_groups, name)
        self._graph: _TapGraph | None = None
        self._weights_held: Tensor | None = None
        self._scope_held: tuple[Tensor | None, tuple[Groups, ...]] = (None, ())

    def push_along(self, sae: SparseAutoencoder) -> None:
        """Change the stream along the rows of this SAE from now on, without compiling anew.

        sae: one with the encoder and the sizes of the tap's own; only its decoder may differ.
        """
        self.sae = sae.without_input_bias()
        self._edits, self._plans = (), self._planned(())
        if self._graph is not None:
            self._graph.edits.write(())  # of the rows before
            self._graph.edits.push_along(self.sae)

    def begin(self, tokens: Tokens, edits: tuple[AppliedEdit, ...], cap: float) -> None:
        weights = tokens.mean_weights(self.token_groups)
        graph = self._graph_of(weights.shape[-1])
        if edits != self._edits:
            graph.edits.write(edits)
        super().begin(tokens, edits, cap)
        if weights is not self._weights_held:
            self._weights_held = weights
            graph.weights.copy_(weights[0])
        self._write_scopes(graph, tokens)
        graph.edits.cap.fill_(cap)
        graph.run.zero_()

    def __call__(self, x: Tensor) -> Tensor:
        """See the residual stream x (1, T, d); return what to add to it, -0.0 without edits."""
        assert self._graph is not None
        delta: Tensor = self._graph(x)
        return delta

    def reading(self) -> Reading:
        graph = self._graph
        assert graph is not None
        runs = self.site.runs_per_inference
        scopes = tuple(edit.token_groups or self.site.token_groups for edit in self._edits)
        norm, change = graph.norm.clone(), graph.change_norm.clone()
        strengths = [
            Strength(change[run, None, :, None], self._one, norm[run, None, :, None], scopes)
            for run in range(runs)
            if self._plans.at(run) is not None
        ]
        return Reading(
            self.name,
            self.site,
            self.sae,
            self.pooled,
            self.token_groups,
            self._tokens,
            LastRun(graph.stream.clone(), self._plans.at(runs - 1), None),
            tuple(strengths),
            self._cap,
            math.nan,
        )

    def _graph_of(self, tokens: int) -> _TapGraph:
        if self._graph is None:
            with torch.inference_mode(False):
                self._graph = _TapGraph(self, tokens)
        if tokens != len(self._graph.norm[0]):
            raise ObservationError(
                complaint(
                    f"tokens that pass {self.site.name} of a compiled policy",
                    tokens,
                    f"{len(self._graph.norm[0])}, as when it was compiled",
                    "Give the same cameras in the same sizes, or do not compile the policy.",
                )
            )
        return self._graph

    def _write_scopes(self, graph: _TapGraph, tokens: Tokens) -> None:
        if not self._edits:
            return  # amounts of zero reach nothing
        scopes = tuple(edit.token_groups or self.site.token_groups for edit in self._edits)
        scope = tokens.scopes(scopes)
        held, held_for = self._scope_held
        if scope is not held or scopes != held_for:
            self._scope_held = (scope, scopes)
            graph.edits.write_scope(scope[0].expand(-1, len(scopes)))


class _TapGraph(nn.Module):
    """The arithmetic of a tap and its buffers.

    Attributes:
        edits: what to change.
        weights: (1, T) float32, averages the tokens that the SAE reads.
        run: (1,) int64, how often the site ran in this inference.
        stream: (1, T, d), the residual stream of the last run before the edits.
        norm, change_norm: (R, T) float32, ||x|| and ||dx|| before the cap, of every run.
    """

    weights: Tensor
    run: Tensor
    stream: Tensor
    norm: Tensor
    change_norm: Tensor

    def __init__(self, tap: Tap, tokens: int) -> None:
        super().__init__()
        self.sae, self.pooled = tap.sae, tap.pooled
        runs, decoder = tap.site.runs_per_inference, tap.sae.W_dec.detach()
        self.edits = EditBuffers(tap.sae, runs, tokens)
        self.register_buffer("weights", decoder.new_zeros(1, tokens))
        self.register_buffer("run", torch.zeros(1, dtype=torch.int64, device=decoder.device))
        self.register_buffer("stream", decoder.new_zeros(1, tokens, tap.site.width))
        self.register_buffer("norm", decoder.new_zeros(runs, tokens))
        self.register_buffer("change_norm", decoder.new_zeros(runs, tokens))

    def forward(self, x: Tensor) -> Tensor:
        stream = x[0].to(torch.float32)
        change = self._change(stream)
        norm = torch.linalg.vector_norm(stream, dim=-1)
        change_norm = torch.linalg.vector_norm(change, dim=-1)
        self.stream.copy_(x)
        self.norm.index_copy_(0, self.run, norm[None])
        self.change_norm.index_copy_(0, self.run, change_norm[None])
        self.run.add_(1)
        changes = change_norm > 0.0
        share = (self.edits.cap * norm / torch.where(changes, change_norm, 1.0)).clamp_max(1.0)
        # Minus zero is what leaves every number, zeros of both signs too, as it is.
        delta = torch.where(changes[:, None], change * share[:, None], -0.0)
        return delta[None].to(x.dtype)

    def _change(self, stream: Tensor) -> Tensor:
        """Return dx (T, d) before the cap."""
        edits = self.edits
        offset, gain = (part.index_select(0, self.run) for part in (edits.offset, edits.gain))
        projection = edits.projection.index_select(0, self.run)[0]
        read = self.weights @ stream if self.pooled else stream
        normalised, scale, _shift = self.sae.normalize(read)
        moved = (offset + gain * self._codes(normalised)) * scale
        removed = (stream @ edits.rows.T) @ projection.T
        return (edits.scope * (moved - removed)) @ edits.rows

    def _codes(self, normalised: Tensor) -> Tensor:
        """Return the natural activations (N, S) of the slots' features."""
        edits = self.edits
        if edits.alone is not None:
            return edits.alone.activate(edits.alone.hidden(normalised))
        return self.sae.codes_of(normalised, edits.features)
