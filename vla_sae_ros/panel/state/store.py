"""Everything the panel knows, brought up to date once a frame. No Qt."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from vla_sae_ros.core.steering import StateView
from vla_sae_ros.panel.state.feature_columns import FeatureColumns
from vla_sae_ros.panel.state.history import History
from vla_sae_ros.panel.state.incoming import HEATMAP, Incoming
from vla_sae_ros.panel.state.monitors import Monitors
from vla_sae_ros.panel.state.steering_windows import SteeringWindows
from vla_sae_ros.panel.state.values import (
    Activations,
    CatalogueView,
    EpisodeView,
    EventView,
    FeatureName,
    Picture,
    RecordingView,
    RobotView,
    TakeoverView,
)

_EVENTS_KEPT = 500
_NO_FLOATS = np.zeros(0, np.float32)
NOTHING = CatalogueView(
    "",
    (),
    (),
    (),
    (),
    (),
    (),
    (),
    (),
    (),
    (),
    np.zeros(0, np.bool_),
    _NO_FLOATS,
    _NO_FLOATS,
    _NO_FLOATS,
    _NO_FLOATS,
    _NO_FLOATS,
    _NO_FLOATS,
    {},
)
"""The catalogue before the first one."""


@dataclass
class Counters:
    """What went wrong since the panel opened."""

    late: int = 0
    """Messages older than one already taken: left out."""
    refused: int = 0
    """Requests, of anybody, that the policy refused."""
    capped: int = 0
    """Times an edit began to be scaled down to the cap."""
    lost: int = 0
    """Messages that came faster than the panel took them."""


@dataclass(frozen=True)
class Changes:
    """What one frame brought."""

    catalogue: bool = False
    """Rows mean other features now."""
    any: bool = False
    notices: tuple[str, ...] = ()
    """What the operator has to be told."""


@dataclass
class Store:
    """The newest of everything, the last seconds of the features, and what is selected."""

    columns: FeatureColumns = field(default_factory=lambda: FeatureColumns(NOTHING))
    history: History = field(default_factory=lambda: History(np.zeros(0), np.zeros(0, int)))
    newest: dict[str, Activations] = field(default_factory=dict)
    """By site."""
    steering: StateView | None = None
    windows: SteeringWindows = field(default_factory=SteeringWindows)
    episode: EpisodeView | None = None
    recording: RecordingView | None = None
    robot: RobotView | None = None
    takeover: TakeoverView | None = None
    events: deque[EventView] = field(default_factory=lambda: deque(maxlen=_EVENTS_KEPT))
    events_seen: int = 0
    """Counts every event, for views that append what is new."""
    monitors: Monitors = field(default_factory=Monitors)
    pictures: dict[str, Picture] = field(default_factory=dict)
    """By camera, of those that a view asked for."""
    heatmap: Picture | None = None
    counters: Counters = field(default_factory=Counters)
    selected: FeatureName | None = None
    pinned: list[FeatureName] = field(default_factory=list)
    """In the order in which they were pinned."""
    _restarted: bool = False
    """The policy began anew, and its catalogue has not come yet."""

    @property
    def catalogue(self) -> CatalogueView:
        """What is known about the features."""
        return self.columns.catalogue

    def rows(self, names: list[FeatureName]) -> np.ndarray:
        """Return the rows of those names that the dictionaries hold."""
        found = (self.columns.row_of(name) for name in names)
        return np.array([row for row in found if row is not None], np.int64)

    def toggle_pin(self, name: FeatureName) -> None:
        """Pin a feature, or unpin it."""
        if name in self.pinned:
            self.pinned.remove(name)
        else:
            self.pinned.append(name)

    def take(self, incoming: Incoming) -> Changes:
        """Bring everything up to date with what has come."""
        notices: list[str] = []
        fresh, changed = False, False
        for catalogue in incoming.catalogues.take().values():
            fresh, changed = self._take_catalogue(catalogue, notices), True
        for view in incoming.steering.take():
            changed = self._take_steering(view, notices) or changed
        for message in incoming.activations.take():
            changed = self._take_activations(message) or changed
        for event in incoming.events.take():
            self._take_event(event)
        for state in incoming.monitors.take():
            self.counters.late += not self.monitors.take(state)
        for episode in incoming.episodes.take().values():
            self.episode = episode
        for recording in incoming.recordings.take().values():
            self.recording = recording
        for robot in incoming.robots.take().values():
            self.robot = robot
        for takeover in incoming.takeovers.take().values():
            self.takeover = takeover
        for camera, picture in incoming.pictures.take().items():
            if camera == HEATMAP:
                self.heatmap = picture
            else:
                self.pictures[camera] = picture
        self.counters.lost = incoming.activations.lost + incoming.monitors.lost
        return Changes(fresh, changed, tuple(notices))

    def _take_catalogue(self, catalogue: CatalogueView, notices: list[str]) -> bool:
        if self.catalogue.same_features(catalogue):
            self.columns.describe(catalogue)
            return False
        gone = len(self.columns.edits)
        if self.catalogue is not NOTHING:
            notices.append(
                "The policy serves other features now"
                + (f": {gone} edits of the old ones are gone." if gone else ".")
            )
        template = self.columns.template
        self.columns = FeatureColumns(catalogue)
        self.columns.template = template
        self.history = History(self.columns.unit, self.columns.site_index)
        self.newest.clear()
        self.windows.clear()
        self.monitors.clear()
        self.heatmap = None
        if self.steering is not None and self.steering.edits and gone and not self._restarted:
            self.steering = None  # the old policy's word
        if self.steering is not None:
            self.columns.set_steering(self.steering)
        self._restarted = False
        if self.selected is not None and self.columns.row_of(self.selected) is None:
            self.selected = None
        return True

    def _take_steering(self, view: StateView, notices: list[str]) -> bool:
        old = self.steering
        if old is not None and view.policy_start_ns == old.policy_start_ns:
            if view.revision < old.revision:
                self.counters.late += 1
                return False
        elif old is not None:
            if old.edits:
                notices.append(f"The policy was restarted: its {len(old.edits)} edits are gone.")
            self.columns.forget_wishes()
            self._restarted = True
        self.steering = view
        self.columns.set_steering(view)
        self.windows.take(view)
        return True

    def _take_activations(self, message: Activations) -> bool:
        old = self.newest.get(message.site)
        same = old is not None and message.policy_start_ns == old.policy_start_ns
        if old is not None and same and message.inference < old.inference:
            self.counters.late += 1
            return False
        self.newest[message.site] = message
        rows = self.columns.set_activations(message)
        site = self.columns.site_number(message.site)
        if site is not None and (len(rows) or not self.columns.beyond):
            natural, applied = self.columns.natural[rows], self.columns.applied[rows]
            self.history.add(message, site, rows, natural, applied)
        return True

    def _take_event(self, event: EventView) -> None:
        self.events.append(event)
        self.events_seen += 1
        self.counters.refused += event.kind == "refused"
        self.counters.capped += event.kind == "capped"
