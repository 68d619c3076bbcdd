"""The view of all features over the last seconds."""

from __future__ import annotations

import numpy as np
from PyQt5.QtWidgets import QVBoxLayout, QWidget

from vla_sae_ros.panel.state.history import History
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.views.raster import Raster, Spot
from vla_sae_ros.panel.views.view import Context
from vla_sae_ros.panel.widgets.guard import guarded

_SPAN = 13.0
"""[s] that the raster shows at least, if so much is remembered; no multiple of a usual period, or
the count would change with every tremble of the rate."""

_FEWEST = 75


class RasterView(QWidget):
    """Feeds the raster with the inferences that came since the last frame."""

    def __init__(self, context: Context) -> None:
        """Start empty."""
        super().__init__()
        self._context = context
        self._history: History | None = None
        self._written = self._inferences = 0
        self._drawn: tuple[int, ...] = ()
        self.raster = Raster(self.words)
        self.raster.clicked.connect(self._choose)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(4, 4, 4, 4)
        whole.addWidget(self.raster)

    def refresh(self, store: Store, now: float) -> None:
        """Draw what came since the last frame, or everything where features or size changed."""
        history = store.history
        inferences = _inferences(history)
        anew = (
            history is not self._history or self.raster.outgrown or inferences != self._inferences
        )
        if anew or history.written < self._written:
            self._begin(store, inferences)
        # The sites of one inference come one after the other into the same frame.
        state = tuple(message.inference for message in store.newest.values())
        if (history.written, *state) != self._drawn:
            self._drawn = history.written, *state
            self._draw(history)
        row = None if store.selected is None else store.columns.row_of(store.selected)
        self.raster.annotate(row, self._seconds(history))

    @guarded("")
    def words(self, spot: Spot) -> str:
        """Return which feature is the strongest of a spot, and how strong."""
        row, value = self._strongest(spot)
        columns = self._context.store.columns
        site, feature = columns.name_of(row)
        count = spot.last - spot.first
        others = f"   (the strongest of the {count} features of this line)" if count > 1 else ""
        return f"{site} #{feature}  {columns.catalogue.names[row]}  {value:.2f}{others}"

    @guarded()
    def _choose(self, spot: Spot) -> None:
        self._context.select(self._context.store.columns.name_of(self._strongest(spot)[0]))

    def _seconds(self, history: History) -> float:
        """Return how long ago the left edge is, at the rate of the inferences so far; 0 before."""
        times = history.times()[-self.raster.columns :]
        if len(times) < 2:
            return 0.0
        return float(times[-1] - times[0]) / (len(times) - 1) * (self.raster.columns - 1)

    def _strongest(self, spot: Spot) -> tuple[int, float]:
        """Return (row, value in observed maxima) of the strongest feature of a spot."""
        history = self._context.store.history
        if spot.age >= len(history):  # before the first inference
            return spot.first, 0.0
        values = history.recent(spot.age + 1)[0, spot.first : spot.last].astype(np.float32)
        place = int(np.abs(values).argmax())
        return spot.first + place, float(values[place])

    def _begin(self, store: Store, inferences: int) -> None:
        columns = store.columns
        firsts = np.flatnonzero(np.diff(columns.site_index, prepend=-1)).tolist()
        names = [(columns.site(first).name, first) for first in firsts]
        self.raster.set_features(columns.size, names, inferences)
        self._history, self._inferences, self._drawn = store.history, inferences, ()
        self._written = store.history.written - len(store.history)

    def _draw(self, history: History) -> None:
        """Write the frames that are new, and once more the one that was the newest."""
        fresh = min(history.written - self._written, len(history))
        again = self.raster.filled and fresh < len(history)
        frames = history.recent(fresh + again).astype(np.float32)
        if again:
            self.raster.rewrite(frames[0])
        for frame in frames[again:]:
            self.raster.append(frame)
        self._written = history.written


def _inferences(history: History) -> int:
    """Return how many inferences to show: so many that they span _SPAN at the present rate, in
    steps of two, for a change draws everything anew."""
    times = history.times()[-_FEWEST:]
    count = _FEWEST
    if len(times) >= 4:
        period = float(np.median(np.diff(times)))
        while count < history.capacity and count * period < _SPAN:
            count *= 2
    return min(count, history.capacity)
