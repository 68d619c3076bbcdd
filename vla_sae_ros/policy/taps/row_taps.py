"""What reads and edits one site in a batch in which every row is on its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vla_sae_ros.core.steering import AppliedEdit
from vla_sae_ros.policy.taps.joint import joint_change
from vla_sae_ros.policy.taps.probe import Probe
from vla_sae_ros.policy.taps.tap import Tap
from vla_sae_ros.policy.taps.tokens import Tokens


@dataclass(frozen=True)
class RowReaders:
    """What sits on a site in one row: nothing, taps, probes.

    edits, by the taps' names, and cap are what `Tap.begin` takes.
    """

    tokens: Tokens
    taps: tuple[Tap, ...] = ()
    probes: tuple[Probe, ...] = ()
    edits: Mapping[str, tuple[AppliedEdit, ...]] = field(default_factory=dict)
    cap: float = float("inf")

    def begin(self) -> None:
        """Prepare for one inference."""
        for probe in self.probes:
            probe.begin(self.tokens)
        for tap in self.taps:
            tap.begin(self.tokens, tuple(self.edits.get(tap.name, ())), self.cap)

    def see(self, x: Tensor) -> Tensor | None:
        """See the row's residual stream x (1, T, d); return what to add to it, or None."""
        for probe in self.probes:
            probe(x)
        return joint_change(self.taps, x)


class SiteRows:
    """The readers of one site, row by row: each sees its own row and nothing else.

    So a row is read and edited by the very arithmetic of an inference of its own, and a row without
    edits does not notice its neighbours'.
    """

    def __init__(self) -> None:
        self._rows: Sequence[RowReaders] = ()

    def begin(self, rows: Sequence[RowReaders]) -> None:
        """Prepare for one inference of so many rows."""
        self._rows = rows
        for row in rows:
            row.begin()

    def __call__(self, x: Tensor) -> Tensor | None:
        """See the residual stream x (B, T, d) of all rows; return what to add to it, or None.

        Raises:
            RuntimeError: the policy did not run as many rows as it was given.
        """
        if not any(row.taps or row.probes for row in self._rows):
            return None
        if len(x) != len(self._rows):
            raise RuntimeError(f"the policy ran {len(x)} rows of a batch of {len(self._rows)}")
        rows = list(x.split(1))
        deltas = [readers.see(row) for readers, row in zip(self._rows, rows, strict=True)]
        if all(delta is None for delta in deltas):
            return None
        # Minus zero is what leaves every number, zeros of both signs too, as it is.
        return torch.cat(
            [
                torch.full_like(row, -0.0) if delta is None else delta.expand_as(row)
                for row, delta in zip(rows, deltas, strict=True)
            ]
        )
