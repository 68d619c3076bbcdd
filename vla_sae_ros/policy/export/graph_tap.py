"""A tap that can be exported: reads and edits one site with nothing but tensor arithmetic.

What `policy.tap.Tap` does with edits it knows, this does with edits that are inputs of the graph,
see `policy.onnx.slots` for the formula. Neutral inputs give a change of exactly zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vla_sae_ros.policy.families.site import Site
from vla_sae_ros.policy.onnx.names import (
    ACTIVE,
    CAP,
    EDITED,
    FEATURES,
    GAIN,
    INDEX,
    NORM,
    OFFSET,
    PROJECTION,
    RATIO,
    READ,
    SCOPE,
    SPREAD,
    TAP_INPUTS,
    TAP_OUTPUTS,
    UNEXPLAINED,
    VALUE,
    of_site,
)
from vla_sae_ros.policy.taps.reading import TINY
from vla_sae_ros.sae import ActiveCode, SaeBundle, SparseAutoencoder


class _Run:
    """Inputs and outputs of one run; no container that torch.export would look into."""

    def __init__(self, inputs: dict[str, Tensor], cap: Tensor) -> None:
        self.inputs, self.cap = inputs, cap
        self.outputs: dict[str, Tensor] = {}


class GraphTap(nn.Module):
    """The tap of a bundle on a site, for a batch of one. One run is `begin`, the call, `outputs`.

    Args:
        site: where it sits.
        bundle: made for this site.
    """

    def __init__(self, site: Site, bundle: SaeBundle) -> None:
        super().__init__()
        self.site = site
        self.sae: SparseAutoencoder = bundle.sae
        self.pooled = bundle.card.pooling == "mean"
        self._run: _Run | None = None

    @property
    def lists_everything(self) -> bool:
        """Whether the lists of active features are complete, as they are for a TopK SAE."""
        probe = self.sae.encode_normalized(torch.zeros(1, self.site.width))
        return probe.dense is None

    def output_names(self) -> list[str]:
        """Return the full names of what `outputs` returns."""
        names = TAP_OUTPUTS if self.lists_everything else (*TAP_OUTPUTS, ACTIVE)
        return [of_site(self.site.name, name) for name in names]

    def begin(self, feeds: Mapping[str, Tensor]) -> None:
        """Take this run's inputs out of the graph's."""
        inputs = {name: feeds[of_site(self.site.name, name)] for name in TAP_INPUTS}
        self._run = _Run(inputs, feeds[CAP])

    def outputs(self) -> list[Tensor]:
        """Return what the run put out, in the order of `output_names`."""
        assert self._run is not None
        return list(self._run.outputs.values())

    def forward(self, x: Tensor) -> Tensor:
        """Return what to add to the residual stream x (1, T, d)."""
        run = self._run
        assert run is not None
        stream = x[0].to(torch.float32)
        read = (run.inputs[READ][None] @ stream) if self.pooled else stream
        normalised, scale, _shift = self.sae.normalize(read)
        code = self.sae.encode_normalized(normalised)
        edited = code.of(run.inputs[FEATURES])
        delta = self._delta(run.inputs, stream, edited, scale)
        norm = stream.norm(dim=-1)
        ratio = delta.norm(dim=-1) / norm.clamp_min(TINY)
        run.outputs = self._read_outs(run.inputs[READ], normalised, code, edited, ratio, norm)
        capped = delta * (run.cap / ratio.clamp_min(TINY)).clamp_max(1.0)[:, None]
        return capped[None].to(x.dtype)

    def _delta(
        self, inputs: dict[str, Tensor], stream: Tensor, edited: Tensor, scale: Tensor
    ) -> Tensor:
        """Return the change (T, d) before the cap; edited is z (S, N), scale (S, 1)."""
        rows = self.sae.W_dec[inputs[FEATURES]]
        moved = (inputs[OFFSET] + inputs[GAIN] * edited) * scale
        removed = (stream @ rows.T) @ inputs[PROJECTION].T
        return (inputs[SCOPE] * (moved - removed)) @ rows

    def _read_outs(
        self,
        read: Tensor,
        normalised: Tensor,
        code: ActiveCode,
        edited: Tensor,
        ratio: Tensor,
        norm: Tensor,
    ) -> dict[str, Tensor]:
        centred = normalised - self.sae.b_dec
        missed = centred - self._explained(code)
        outputs = {
            INDEX: code.index,
            VALUE: code.value,
            EDITED: edited,
            RATIO: ratio,
            NORM: norm,
            UNEXPLAINED: missed.square().sum(-1),
            SPREAD: centred.square().sum(-1),
        }
        if code.dense is not None:
            active = code.dense > 0
            outputs[ACTIVE] = (active if self.pooled else active & (read > 0)[:, None]).any(0)
        return outputs

    def _explained(self, code: ActiveCode) -> Tensor:
        """Return the reconstruction (S, d) without b_dec."""
        if code.dense is not None:
            return code.dense @ self.sae.W_dec
        return (code.value.unsqueeze(-2) @ self.sae.W_dec[code.index]).squeeze(-2)
