"""What has come in from the ROS thread and waits for the next frame."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from vla_sae_ros.core.steering import StateView
from vla_sae_ros.panel.state.mailbox import Inbox, Mailbox
from vla_sae_ros.panel.state.monitors import MonitorView
from vla_sae_ros.panel.state.values import (
    Activations,
    CatalogueView,
    EpisodeView,
    EventView,
    Picture,
    RecordingView,
    RequestResult,
    RobotView,
    TakeoverView,
)


@dataclass
class Incoming:
    """One box per kind of message. The ROS thread puts, the GUI takes."""

    catalogues: Mailbox[str, CatalogueView] = field(default_factory=Mailbox)
    activations: Inbox[Activations] = field(default_factory=lambda: Inbox(256))
    steering: Inbox[StateView] = field(default_factory=lambda: Inbox(64))
    events: Inbox[EventView] = field(default_factory=Inbox)
    monitors: Inbox[MonitorView] = field(default_factory=lambda: Inbox(256))
    episodes: Mailbox[str, EpisodeView] = field(default_factory=Mailbox)
    recordings: Mailbox[str, RecordingView] = field(default_factory=Mailbox)
    robots: Mailbox[str, RobotView] = field(default_factory=Mailbox)
    takeovers: Mailbox[str, TakeoverView] = field(default_factory=Mailbox)
    pictures: Mailbox[str, Picture] = field(default_factory=Mailbox)
    """By camera; the heatmap under HEATMAP."""
    broken_pictures: dict[str, int] = field(default_factory=dict)
    """By camera: compressed pictures that could not be decoded."""
    outcomes: Inbox[RequestResult] = field(default_factory=Inbox)
    last_heard: float | None = None
    """Monotonic [s], of anything the policy says."""
    feature_messages: int = 0
    inactive: str = ""
    """Why a policy that is there serves nothing: its lifecycle state; empty while it serves."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def heard(self, features: bool = False) -> None:
        """Note that the policy said something just now."""
        with self._lock:
            self.last_heard = time.monotonic()
            self.feature_messages += features


HEATMAP = ""
"""Key of the heatmap among the pictures; cameras have names."""
