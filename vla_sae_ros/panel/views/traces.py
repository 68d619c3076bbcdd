"""The view of the pinned features over observation time."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import shorten

import numpy as np
from PyQt5.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import TOLD, EventView, FeatureName
from vla_sae_ros.panel.views.event_model import ALARMING
from vla_sae_ros.panel.views.lanes import Lanes
from vla_sae_ros.panel.views.trace import EventMark, Lane, MonitorTrace, Trace
from vla_sae_ros.panel.views.trace_legend import TraceLegend
from vla_sae_ros.panel.views.view import Context
from vla_sae_ros.panel.widgets.guard import guarded
from vla_sae_ros.panel.widgets.plain_text import PlainLabel

MOST = 12
"""Pinned features that are drawn: more lanes are not readable."""

_MARKED = ALARMING | {"set", "preset", "bypass", "reset", TOLD}
_LONGEST = 60
"""Characters of an instruction at its line."""
_MARK_APART = 0.5
"""[s]: a drag sends many events; one line per owner and this much time says enough."""


class TracesView(QWidget):
    """Lanes, a pause button and a legend."""

    def __init__(self, context: Context) -> None:
        """Start following the newest observation."""
        super().__init__()
        self._drawn: tuple[object, ...] = ()
        self.lanes = Lanes()
        self.pause = QPushButton("&Pause")
        self.pause.setCheckable(True)
        self.pause.setToolTip("Hold the plot; wheel zooms, dragging moves, End follows again")
        self.more = PlainLabel()
        line = QHBoxLayout()
        line.addWidget(self.pause)
        line.addWidget(TraceLegend(), 1)
        line.addWidget(self.more)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(4, 4, 4, 4)
        whole.addLayout(line)
        whole.addWidget(self.lanes, 1)
        self.pause.clicked.connect(self.lanes.hold)
        self.lanes.held_changed.connect(self._show_held)
        self.lanes.chosen.connect(lambda site, feature: context.select((site, feature)))

    def refresh(self, store: Store, now: float) -> None:
        """Draw again if something came."""
        newest = store.history.latest
        state = (
            newest,
            store.history.taken,
            tuple(store.pinned),
            store.events_seen,
            store.monitors.heard,
            store.steering,
            id(store.history),
            self.lanes.window_of_time.held,
        )
        if state == self._drawn:
            return
        self._drawn = state
        hidden = max(len(store.pinned) - MOST, 0)
        self.more.setText(f"{hidden} more pinned" if hidden else "")
        newest = 0.0 if np.isnan(newest) else newest
        lanes: list[Lane] = [*monitor_traces(store), *pinned_traces(store)]
        self.lanes.show_traces(lanes, [*marks(store.events), *alarm_marks(store)], newest)

    @guarded()
    def _show_held(self, held: bool) -> None:
        self.pause.setChecked(held)
        self.pause.setText("&Paused: follow again" if held else "&Pause")


def pinned_traces(store: Store) -> list[Trace]:
    """Return the traces of the pinned features, the first MOST of them, in their order."""
    names = [name for name in store.pinned if store.columns.row_of(name) is not None][:MOST]
    rows = store.rows(names)
    time, history = store.history.times(), store.history
    natural = history.natural(rows).astype(np.float64)
    applied = history.applied(rows).astype(np.float64)
    begin = time[0] if len(time) else 0.0
    windows: dict[FeatureName, list[tuple[float, float]]] = {}
    for window in store.windows.since(begin):
        windows.setdefault(window.name, []).append((window.start, window.end))
    return [
        Trace(
            name,
            store.catalogue.names[row],
            time,
            natural[:, place],
            applied[:, place],
            tuple(windows.get(name, ())),
        )
        for place, (name, row) in enumerate(zip(names, rows.tolist(), strict=True))
    ]


def monitor_traces(store: Store) -> list[MonitorTrace]:
    """Return the trace of every monitor that was heard of; none without a monitor."""
    found = []
    for one in store.monitors.series.values():
        newest = one.newest
        found.append(MonitorTrace(newest.score_name, newest.site, one.columns(), newest.alarm))
    return found


def alarm_marks(store: Store) -> list[EventMark]:
    """Return where alarms began."""
    return [
        EventMark(time, f"ALARM {one.newest.score_name}", True)
        for one in store.monitors.series.values()
        for time in one.alarms
    ]


def marks(events: Iterable[EventView]) -> list[EventMark]:
    """Return the events worth a line across the lanes, oldest first."""
    found: list[EventMark] = []
    last: dict[tuple[str, str], float] = {}
    for event in events:
        key = event.kind, event.owner
        if event.kind in _MARKED and event.time - last.get(key, -np.inf) > _MARK_APART:
            found.append(EventMark(event.time, _words(event), event.kind in ALARMING))
            last[key] = event.time
    return found


def _words(event: EventView) -> str:
    if event.kind == TOLD:
        return f"{TOLD} “{shorten(event.reason, _LONGEST, placeholder='…')}”"
    what = f"#{event.feature}" if event.of_feature else event.site
    kind = event.kind.upper() if event.kind in ALARMING else event.kind
    return f"{kind} {what}".rstrip()
