"""The last seconds of every feature, in bounded memory. No Qt."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vla_sae_ros.panel.state.values import Activations

FRAMES = 600
"""30 s at 20 inferences a second."""

LARGEST = 96 * 2**20
"""[bytes] of both matrices together; a large dictionary is remembered for fewer frames."""

Times = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float16]


class History:
    """A ring of frames; one frame holds all sites of one inference.

    Args:
        unit: (R,) what an activation is divided by, its observed maximum, so that float16 will do.
        site: (R,) number of each row's site, from 0.
    """

    def __init__(self, unit: npt.NDArray[np.float64], site: npt.NDArray[np.integer]) -> None:
        """Start empty."""
        rows = len(unit)
        self._site = site
        self.capacity = max(2, min(FRAMES, LARGEST // max(4 * rows, 1)))
        self._unit = unit
        self._natural = np.zeros((self.capacity, rows), np.float16)
        self._applied = np.zeros((self.capacity, rows), np.float16)
        self._time = np.zeros(self.capacity)
        self._revision: npt.NDArray[np.int64] = np.zeros(self.capacity, np.int64)
        self._heard = np.zeros((self.capacity, int(site.max(initial=-1)) + 1), np.bool_)
        self._written = self._taken = 0
        self._inference = -1
        self._rows: list[list[npt.NDArray[np.int64]]] = [[] for _ in range(self.capacity)]

    def __len__(self) -> int:
        """Return the number of frames that are remembered."""
        return min(self._written, self.capacity)

    @property
    def written(self) -> int:
        """Number of frames begun since the start or `clear`."""
        return self._written

    @property
    def taken(self) -> int:
        """Number of messages taken since the start."""
        return self._taken

    def recent(self, count: int) -> Matrix:
        """Return (count, R) values after the edits of the newest frames, in observed maxima,
        oldest first; `count` at most len(self)."""
        places = np.arange(self._written - count, self._written) % self.capacity
        return self._applied[places]

    @property
    def latest(self) -> float:
        """Observation time [s] of the newest frame; NaN before the first."""
        return float(self._time[(self._written - 1) % self.capacity]) if self._written else np.nan

    def add(
        self,
        message: Activations,
        site: int,
        rows: npt.NDArray[np.int64],
        natural: npt.NDArray[np.float64],
        applied: npt.NDArray[np.float64],
    ) -> None:
        """Write the values (n,), in the SAE's units, of these rows into the inference's frame; the
        site's other rows are zero in it.

        A stamp earlier than the newest frame's begins anew: another clock's history is over.
        """
        if self._written and message.time < self.latest:
            self.clear()
        if message.inference != self._inference or not self._written:
            self._begin(message)
        here = (self._written - 1) % self.capacity
        self._taken += 1
        self._heard[here, site] = True
        self._rows[here].append(rows)
        self._natural[here, rows] = np.clip(natural / self._unit[rows], -6e4, 6e4)
        self._applied[here, rows] = np.clip(applied / self._unit[rows], -6e4, 6e4)

    def clear(self) -> None:
        """Forget every frame."""
        self._written, self._inference = 0, -1

    def times(self, last: float = np.inf) -> Times:
        """Return the frames' observation times (n,) [s], ascending, of the last seconds."""
        return self._time[self._frames(last)]

    def revisions(self, last: float = np.inf) -> npt.NDArray[np.int64]:
        """Return the steering revision (n,) of each of these frames."""
        return self._revision[self._frames(last)]

    def natural(
        self, rows: npt.NDArray[np.int64] | slice = slice(None), last: float = np.inf
    ) -> Matrix:
        """Return (n, len(rows)) values before the edits, in observed maxima, oldest first; NaN
        where nothing came from the row's site."""
        return self._read(self._natural, rows, last)

    def applied(
        self, rows: npt.NDArray[np.int64] | slice = slice(None), last: float = np.inf
    ) -> Matrix:
        """Return (n, len(rows)) values after the edits, in observed maxima, oldest first; NaN
        where nothing came from the row's site."""
        return self._read(self._applied, rows, last)

    def change(self, last: float) -> npt.NDArray[np.float32]:
        """Return (R,) largest minus smallest applied value of the last seconds."""
        spread = np.zeros(len(self._unit), np.float32)
        frames = self._frames(last)
        written = [rows for frame in frames.tolist() for rows in self._rows[frame]]
        if written:  # every other row was zero throughout
            rows = np.unique(np.concatenate(written))
            spread[rows] = np.ptp(self._applied[np.ix_(frames, rows)].astype(np.float32), axis=0)
        return spread

    def _begin(self, message: Activations) -> None:
        here = self._written % self.capacity
        self._rows[here] = []
        self._heard[here] = False
        self._natural[here] = 0
        self._applied[here] = 0
        self._time[here], self._revision[here] = message.time, message.revision
        self._inference = message.inference
        self._written += 1

    def _frames(self, last: float) -> npt.NDArray[np.int64]:
        """Return the places of the frames of the last seconds, oldest first."""
        places: npt.NDArray[np.int64] = (
            np.arange(self._written - len(self), self._written) % self.capacity
        )
        return places[self._time[places] >= self.latest - last] if len(places) else places

    def _read(self, matrix: Matrix, rows: npt.NDArray[np.int64] | slice, last: float) -> Matrix:
        frames = self._frames(last)
        chosen = np.arange(matrix.shape[1])[rows]
        values = matrix[np.ix_(frames, chosen)]
        values[~self._heard[np.ix_(frames, self._site[chosen])]] = np.nan
        return values
