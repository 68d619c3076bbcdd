"""Inferring for many environments at once, every row with its own steering and noise."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vla_sae_ros.core.steering import Snapshot
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.families.adapter import Detachable
from vla_sae_ros.policy.inference import NO_STEERING, Inference
from vla_sae_ros.policy.taps.probe import Probe
from vla_sae_ros.policy.taps.row_taps import RowReaders, SiteRows
from vla_sae_ros.policy.taps.tap import Tap
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
    taps: Sequence[Tap] = ()
    """The row's own, of `BatchEngine.taps`: no other row of the batch may have them."""
    probes: Sequence[Probe] = ()
    """The row's own, of `BatchEngine.probe`."""


class BatchEngine:
    """A loaded policy that infers for many rows, each with taps, edits and noise of its own.

    A row gives what it gives alone up to the rounding of larger matrix products. Rows whose inputs
    have other shapes, as instructions of other lengths where a family does not pad them, are
    inferred one group after the other; those of a family that is not among BATCHED_FAMILIES one
    after the other, to the bit as alone. Used by one thread.
    """

    def __init__(self, loaded: LoadedPolicy, names: Mapping[str, str] = {}) -> None:
        self.together = loaded.policy.name in BATCHED_FAMILIES
        """Whether rows are inferred together at all."""
        self._engine = PolicyEngine(loaded, names=names)
        self._memories: defaultdict[tuple[str, int], TokenMemory] = defaultdict(TokenMemory)
        self._attached: dict[str, SiteRows] = {}
        self._handles: list[Detachable] = []

    @property
    def adapter(self) -> Any:
        return self._engine.adapter

    @property
    def loaded(self) -> LoadedPolicy:
        return self._engine.loaded

    @property
    def policy_id(self) -> str:
        return self._engine.policy_id

    @property
    def policy_name(self) -> str:
        return self._engine.policy_name

    @property
    def fed_by(self) -> dict[str, str]:
        return self._engine.fed_by

    def observe(
        self, offered: Mapping[str, tuple[int, ...] | None], given: Mapping[str, str] = {}
    ) -> None:
        """Take frames that bear these names from now on; see `match_features`."""
        self._engine.observe(offered, given)

    def close(self) -> None:
        """Take every hook off the policy."""
        self._attached.clear()
        while self._handles:
            self._handles.pop().remove()

    def taps(self, bundles: Iterable[SaeBundle]) -> tuple[Tap, ...]:
        """Return taps for the rows of one episode.

        Raises:
            ConfigurationError: a bundle does not fit the policy.
        """
        return tuple(self._engine.make_tap(bundle) for bundle in bundles)

    def probe(self, site: str, pooled: bool, sink: Callable[[Tensor, float], None]) -> Probe:
        """Return a probe for the rows of one episode; see `PolicyEngine.attach_probe`.

        Raises:
            ConfigurationError: no such site.
        """
        return self._engine.make_probe(site, pooled, sink)

    def noise(self, seed: tuple[int, int]) -> Tensor:
        """Return the noise (1, H, A_max) of (episode seed, control step)."""
        return self._engine.noise(seed)

    def infer(self, rows: Sequence[Row]) -> list[Inference]:
        """Compute one action chunk for every row, in their order.

        Raises:
            ObservationError: a feature the policy needs is missing, of a wrong shape or not finite.
        """
        started = time.perf_counter()
        inferences: dict[int, Inference] = {}
        with torch.inference_mode():
            inputs = [self._engine.inputs(row.frame, row.instruction) for row in rows]
            groups = _alike(inputs) if self.together else [[number] for number in range(len(rows))]
            for group in groups:
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
        for row in rows:
            self._attach([tap.site.name for tap in row.taps])
            self._attach([probe.site.name for probe in row.probes])
        for site, readers in self._attached.items():
            readers.begin(
                [
                    self._readers(site, row, number, inputs[number])
                    for number, row in enumerate(rows)
                ]
            )
        noise = torch.cat([row.noise for row in rows]).to(self._engine.device)
        with self._engine.computing():
            chunk = self.adapter.predict(_together(inputs), noise)
        for row in rows:
            for probe in row.probes:
                probe.end()
        actions = [self._engine.actions(chunk[number : number + 1]) for number in range(len(rows))]
        milliseconds = (time.perf_counter() - started) * 1e3
        return [
            Inference(
                actions[number],
                partial(self._engine.read_out, [tap.reading() for tap in row.taps]),
                row.steering.revision,
                row.steering.bypass,
                milliseconds,
            )
            for number, row in enumerate(rows)
        ]

    def _attach(self, sites: Iterable[str]) -> None:
        for site in sites:
            if site in self._attached:
                continue
            self._attached[site] = SiteRows()
            self._handles.append(self.adapter.attach(site, self._attached[site]))

    def _readers(self, site: str, row: Row, number: int, inputs: Mapping[str, Any]) -> RowReaders:
        memory = self._memories[self.adapter.sites[site].stack, number]
        return RowReaders(
            Tokens(partial(self.adapter.token_masks, site, inputs), memory),
            tuple(tap for tap in row.taps if tap.site.name == site),
            tuple(probe for probe in row.probes if probe.site.name == site),
            row.steering.edits,
            row.steering.cap,
        )


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
