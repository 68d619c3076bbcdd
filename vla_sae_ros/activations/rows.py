"""Rows of many shard files as one matrix that is never in memory as a whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_HEADER_LENGTH_BYTES = 8


class ShardedRows:
    """(n, d) float32 over shards in their order; a `sae.samples.Samples`.

    Args:
        shards: memory maps (rows, d) float32, known to be finite.
        width: d, also where there is no shard.
    """

    known_finite = True

    def __init__(self, shards: Sequence[np.ndarray], width: int) -> None:
        self._shards = list(shards)
        self._first = np.cumsum([0, *(len(shard) for shard in self._shards)])
        self.shape = (int(self._first[-1]), width)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Return a copy of the rows of a slice, of an ascending integer array, or of one number."""
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        wanted = np.asarray(rows, np.int64)
        if wanted.ndim == 0:
            return self[wanted[None]][0]
        if len(wanted) and not (wanted.min() >= 0 and wanted.max() < len(self)):
            raise IndexError(f"rows {wanted.min()} to {wanted.max()} of {len(self)}")
        cut = np.searchsorted(wanted, self._first)
        found = np.empty((len(wanted), self.shape[1]), np.float32)
        for number, shard in enumerate(self._shards):
            begin, end = cut[number], cut[number + 1]
            if begin < end:
                found[begin:end] = shard[wanted[begin:end] - self._first[number]]
        return found


def map_tensor(path: Path, name: str) -> np.ndarray:
    """Return a float32 tensor of a safetensors file as a memory map that reads on access.

    The file must have been checked before: its header is trusted.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_HEADER_LENGTH_BYTES), "little")
        entry = json.loads(file.read(length))[name]
    offset = _HEADER_LENGTH_BYTES + length + entry["data_offsets"][0]
    return np.memmap(path, np.float32, "r", offset, tuple(entry["shape"]))
