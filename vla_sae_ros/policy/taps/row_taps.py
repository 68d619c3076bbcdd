"""Taps on one site for a batch in which every row has edits of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vla_sae_ros.core.steering import AppliedEdit
from vla_sae_ros.policy.taps.reading import Reading
from vla_sae_ros.policy.taps.tap import Tap
from vla_sae_ros.policy.taps.tokens import Tokens


@dataclass(frozen=True)
class RowEdits:
    """What `Tap.begin` takes, of one row."""

    tokens: Tokens
    edits: tuple[AppliedEdit, ...]
    cap: float


class RowTaps:
    """One tap per row of a batch: each sees its own row and nothing else.

    So a row is read and edited by the very arithmetic of an inference of its own, and a row without
    edits does not notice its neighbours'.

    Args:
        make: returns a tap of the site.
    """

    def __init__(self, make: Callable[[], Tap]) -> None:
        self._make = make
        self._taps: list[Tap] = []
        self._rows = 0

    def begin(self, rows: Sequence[RowEdits]) -> None:
        """Prepare for one inference of so many rows."""
        self._rows = len(rows)
        while len(self._taps) < self._rows:
            self._taps.append(self._make())
        for tap, row in zip(self._taps, rows, strict=False):
            tap.begin(row.tokens, row.edits, row.cap)

    def __call__(self, x: Tensor) -> Tensor | None:
        """See the residual stream x (B, T, d) of all rows; return what to add to it, or None.

        Raises:
            RuntimeError: the policy did not run as many rows as it was given.
        """
        if len(x) != self._rows:
            raise RuntimeError(f"the policy ran {len(x)} rows of a batch of {self._rows}")
        rows = list(x.split(1))
        deltas = [tap(row) for tap, row in zip(self._taps, rows, strict=False)]
        if all(delta is None for delta in deltas):
            return None
        # Minus zero is what leaves every number, zeros of both signs too, as it is.
        return torch.cat(
            [
                torch.full_like(row, -0.0) if delta is None else delta.expand_as(row)
                for row, delta in zip(rows, deltas, strict=True)
            ]
        )

    def readings(self) -> list[Reading]:
        """Return what the inference leaves to be read out, row by row."""
        return [tap.reading() for tap in self._taps[: self._rows]]
