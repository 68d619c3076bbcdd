"""The lines at the top: connection, episode, steering, recording."""

from __future__ import annotations

from collections import deque

from PyQt5.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from vla_sae_ros.panel.frame.status_lines import (
    episode_text,
    link_text,
    monitor_text,
    recording_text,
    steering_text,
    takeover_text,
)
from vla_sae_ros.panel.state.connection import Link, LinkState, RecorderLink, link_state
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.views.view import Client
from vla_sae_ros.panel.widgets.elided import Elided
from vla_sae_ros.panel.widgets.inks import CAUTION, GOOD, NEUTRAL, WARNING
from vla_sae_ros.panel.widgets.plain_text import PlainLabel
from vla_sae_ros.panel.widgets.plainly import set_plainly

_STYLES = {
    Link.WAITING: f"{NEUTRAL} padding: 5px;",
    Link.LIVE: f"{GOOD} padding: 5px;",
    Link.LOST: f"{WARNING} padding: 5px; font-weight: bold;",
}
_BY_HAND = f"{CAUTION} padding: 2px 8px; font-weight: bold;"
_RECORDING = f"{WARNING} padding: 2px 8px; font-weight: bold;"
_COUNT_PERIOD = 1.0  # [s]: counting publishers asks the graph


class StatusArea(QWidget):
    """Texts of what is going on; shown at every frame, changed when they differ."""

    def __init__(self) -> None:
        """Start with nothing known."""
        super().__init__()
        self.link_line = PlainLabel()
        self.link_line.setWordWrap(True)
        # As high in every state: what stands below, STOP above all, never moves under the pointer.
        self.link_line.setFixedHeight(2 * self.fontMetrics().height() + 12)
        self.link_line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.episode_line, self.steering_line, self.monitor_line = Elided(), Elided(), Elided()
        self.monitor_line.hide()
        self.recording_label, self.takeover_label = PlainLabel(), PlainLabel()
        for label in (self.recording_label, self.takeover_label):
            label.setMinimumWidth(1)  # names and reasons of others do not widen the window
        self._recorder = RecorderLink()
        self._arrivals: deque[tuple[float, int]] = deque(maxlen=90)
        self._policies, self._counted = 1, float("-inf")
        episode = QHBoxLayout()
        episode.addWidget(self.episode_line, 1)
        episode.addWidget(self.takeover_label)
        episode.addWidget(self.recording_label)
        steering = QHBoxLayout()
        steering.addWidget(self.steering_line, 1)
        steering.addWidget(self.monitor_line, 1)
        lines = QVBoxLayout()
        lines.setContentsMargins(8, 4, 8, 0)
        lines.setSpacing(0)
        lines.addLayout(episode)
        lines.addLayout(steering)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(self.link_line)
        whole.addLayout(lines)

    def refresh(self, store: Store, client: Client, now: float) -> LinkState:
        """Show the present state and return the connection's."""
        incoming = client.incoming
        state = link_state(now, incoming.last_heard)
        if now - self._counted > _COUNT_PERIOD:
            self._policies, self._counted = client.policies, now
        text = link_text(
            state,
            self._rate(now, incoming.feature_messages),
            store.catalogue.policy_id,
            self._policies,
            incoming.inactive,
        )
        mixed = state.link is Link.LIVE and (self._policies > 1 or bool(incoming.inactive))
        self.link_line.setToolTip(text)
        set_plainly(self.link_line, text, _STYLES[Link.LOST if mixed else state.link])
        self.episode_line.show_text(episode_text(store.episode))
        capped = any(newest.capped for newest in store.newest.values())
        self.steering_line.show_text(steering_text(store, client.owner), warning=capped)
        monitor = monitor_text(store)
        self.monitor_line.show_text(monitor, warning=monitor.startswith(("ALARM", "MONITOR")))
        self.monitor_line.setVisible(bool(monitor))
        lost = self._recorder.lost(store.recording, now)
        recording = recording_text(store.recording, lost)
        set_plainly(
            self.recording_label,
            recording,
            _RECORDING if lost or recording.startswith("●") else "",
        )
        self.recording_label.setVisible(bool(recording))
        self.recording_label.setToolTip(recording)
        by_hand = takeover_text(store.takeover, client.owner)
        set_plainly(self.takeover_label, by_hand, _BY_HAND if by_hand else "")
        self.takeover_label.setVisible(bool(by_hand))
        refusal = store.takeover.refusal if store.takeover is not None else ""
        self.takeover_label.setToolTip("   ".join(filter(None, (by_hand, refusal))))
        return state

    def _rate(self, now: float, count: int) -> float:
        self._arrivals.append((now, count))
        (start, first), (end, last) = self._arrivals[0], self._arrivals[-1]
        return (last - first) / max(end - start, 1e-3)
