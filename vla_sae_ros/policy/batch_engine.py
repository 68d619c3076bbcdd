"""Inferring for many environments at once, every row with its own steering and noise."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.steering import Snapshot
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.families.adapter import Detachable
from vla_sae_ros.policy.inference import NO_STEERING, Inference
from vla_sae_ros.policy.taps.row_taps import RowEdits, RowTaps
from vla_sae_ros.policy.taps.tokens import TokenMemory, Tokens
from vla_sae_ros.sae import SaeBundle

BATCHED_FAMILIES = ("smolvla", "pi0", "pi05")
"""Families whose rows are shown to equal the same rows alone (test/policy/test_batch_engine.py)."""


@dataclass(frozen=True)
class Row:
    """One observation of a batch."""

    frame: Mapping[str, np.ndarray]
    """Policy feature -> (H, W, 3) uint8 picture or (n,) float vector."""
    instruction: str
    noise: Tensor
    """(1, H, A_max) float32, see `PolicyAdapter.noise_shape`."""
    steering: Snapshot = NO_STEERING


class BatchEngine:
    """A loaded policy with a tap for every row on each bundle's site; used by one thread.

    A row gives what it gives alone up to the rounding of larger matrix products. Rows whose inputs
    have other shapes, as instructions of other lengths where a family does not pad them, are
    inferred one group after the other.

    Raises:
        ConfigurationError: a family that does not infer in batches, or a bundle that does not fit.
    """

    def __init__(self, loaded: LoadedPolicy, bundles: Sequence[SaeBundle] = ()) -> None:
        if loaded.policy.name not in BATCHED_FAMILIES:
            raise ConfigurationError(
                complaint(
                    "This policy does not infer in batches",
                    loaded.policy.name,
                    ", ".join(BATCHED_FAMILIES),
                    "Use --policy-batch 1.",
                )
            )
        self._engine = PolicyEngine(loaded)
        self._taps = {bundle.card.site: self._row_taps(bundle) for bundle in bundles}
        self._memories: defaultdict[tuple[str, int], TokenMemory] = defaultdict(TokenMemory)
        self._handles: list[Detachable] = [
            self.adapter.attach(site, taps) for site, taps in self._taps.items()
        ]

    @property
    def adapter(self) -> Any:
        return self._engine.adapter

    @property
    def policy_id(self) -> str:
        return self._engine.policy_id

    def close(self) -> None:
        """Take every hook off the policy."""
        while self._handles:
            self._handles.pop().remove()

    def infer(self, rows: Sequence[Row]) -> list[Inference]:
        """Compute one action chunk for every row, in their order.

        Raises:
            ObservationError: a feature the policy needs is missing, of a wrong shape or not finite.
        """
        started = time.perf_counter()
        inferences: dict[int, Inference] = {}
        with torch.inference_mode():
            inputs = [self._engine.inputs(row.frame, row.instruction) for row in rows]
            for group in _alike(inputs):
                given = [dict(inputs[number]) for number in group]
                some = [rows[number] for number in group]
                for number, inference in zip(
                    group, self._infer_group(some, given, started), strict=True
                ):
                    inferences[number] = inference
        return [inferences[number] for number in range(len(rows))]

    def _infer_group(
        self, rows: Sequence[Row], inputs: list[dict[str, Any]], started: float
    ) -> list[Inference]:
        for site, taps in self._taps.items():
            taps.begin(
                [
                    RowEdits(
                        self._tokens(site, number, inputs[number]),
                        tuple(row.steering.edits.get(site, ())),
                        row.steering.cap,
                    )
                    for number, row in enumerate(rows)
                ]
            )
        noise = torch.cat([row.noise for row in rows]).to(self._engine.device)
        chunk = self.adapter.predict(_together(inputs), noise)
        actions = [self._engine.actions(chunk[number : number + 1]) for number in range(len(rows))]
        readings = [taps.readings() for taps in self._taps.values()]
        milliseconds = (time.perf_counter() - started) * 1e3
        return [
            Inference(
                actions[number],
                partial(self._engine.read_out, [of_site[number] for of_site in readings]),
                row.steering.revision,
                row.steering.bypass,
                milliseconds,
            )
            for number, row in enumerate(rows)
        ]

    def _tokens(self, site: str, number: int, inputs: Mapping[str, Any]) -> Tokens:
        memory = self._memories[self.adapter.sites[site].stack, number]
        return Tokens(partial(self.adapter.token_masks, site, inputs), memory)

    def _row_taps(self, bundle: SaeBundle) -> RowTaps:
        return RowTaps(partial(self._engine.make_tap, bundle))


def _alike(inputs: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Return the numbers of the rows that can be stacked, group by group."""
    groups: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, given in enumerate(inputs):
        shapes = (
            (key, tuple(value.shape) if isinstance(value, Tensor) else None)
            for key, value in sorted(given.items())
        )
        groups[tuple(shapes)].append(number)
    return list(groups.values())


def _together(inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the rows' inputs, each a batch of one, as one batch."""
    together: dict[str, Any] = {}
    for key, first in inputs[0].items():
        values = [given[key] for given in inputs]
        if isinstance(first, Tensor) and first.ndim:
            together[key] = torch.cat(values)
        elif isinstance(first, list):
            together[key] = [item for value in values for item in value]
        else:
            together[key] = first
    return together
