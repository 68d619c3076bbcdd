"""What monitors say of the newest inferences: scores, thresholds, alarms. No Qt."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt

from vla_sae_ros.panel.state.history import FRAMES

MOST = 4
"""Monitors of which the newest inferences are kept; each has a lane among the traces."""


@dataclass(frozen=True)
class MonitorView:
    """What a monitor made of one inference; the fields of MonitorState.msg."""

    monitor_id: str
    score_name: str
    site: str
    episode_id: str
    time: float
    """[s] stamp of the observation."""
    inference: int
    step: int
    score: float
    """NaN: not known, `detail` says why."""
    threshold: float
    above: bool
    alarm: bool
    alarm_step: int
    on_alarm: str
    """What an alarm does, one of core.on_alarm.ON_ALARM."""
    acted: bool
    detail: str
    policy_start_ns: int = 0


@dataclass
class MonitorSeries:
    """One score over the newest inferences."""

    views: deque[MonitorView] = field(default_factory=lambda: deque(maxlen=FRAMES))
    """Ascending in time, never empty once something was heard."""
    alarms: deque[float] = field(default_factory=lambda: deque(maxlen=FRAMES))
    """[s] stamps of the observations at which an alarm began."""

    @property
    def newest(self) -> MonitorView:
        """The newest inference that was scored."""
        return self.views[-1]

    def add(self, view: MonitorView) -> None:
        """Append; a stamp earlier than the newest begins anew, as on another clock."""
        before = self.views[-1] if self.views else None
        if before is not None and view.time < before.time:
            self.views.clear()
            self.alarms.clear()
        stood = before is not None and before.alarm and before.episode_id == view.episode_id
        if view.alarm and not stood and view.step == view.alarm_step:
            self.alarms.append(view.time)
        self.views.append(view)

    def columns(self) -> npt.NDArray[np.float64]:
        """Return (3, n) time [s], score and threshold, ascending in time; NaN where not known."""
        rows = [(each.time, each.score, each.threshold) for each in self.views]
        columns = np.array(rows, np.float64).reshape(-1, 3).T
        columns[~np.isfinite(columns)] = np.nan
        return columns


@dataclass
class Monitors:
    """The monitors of one system: one as a rule, more where more nodes publish."""

    series: dict[tuple[str, str], MonitorSeries] = field(default_factory=dict)
    """By (monitor_id, score_name), the one heard last at the end."""
    heard: int = 0
    """Counts every message, for views that draw what is new."""

    def take(self, view: MonitorView) -> bool:
        """Keep one message; return False for one that is older than one already taken."""
        name = view.monitor_id, view.score_name
        one = self.series.get(name)
        same = one is not None and one.newest.policy_start_ns == view.policy_start_ns
        if one is not None and same and view.inference < one.newest.inference:
            return False
        self.heard += 1
        one = self.series.pop(name, None) or MonitorSeries()
        one.add(view)
        self.series[name] = one
        for gone in list(islice(self.series, max(len(self.series) - MOST, 0))):
            del self.series[gone]
        return True

    def clear(self) -> None:
        """Forget all: they were of other features."""
        self.series.clear()

    @property
    def newest(self) -> MonitorView | None:
        """What was heard last; None without a monitor."""
        return next(reversed(self.series.values())).newest if self.series else None

    @property
    def alarm(self) -> MonitorView | None:
        """The newest word of a monitor whose alarm stands in the newest episode."""
        newest = self.newest
        standing = [
            one.newest
            for one in self.series.values()
            if newest and one.newest.alarm and one.newest.episode_id == newest.episode_id
        ]
        return standing[-1] if standing else None
