"""Edits on their way to the policy: the newest of each feature, at a bounded rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vla_sae_ros.core.steering import Edit
from vla_sae_ros.panel.state.values import FeatureName

SEND_PERIOD = 1 / 15
"""[s] between two requests while a slider moves."""


class EditSink(Protocol):
    """Takes edits without waiting, as Commands does."""

    @property
    def busy(self) -> bool:
        """A request waits for its answer."""

    def steer(
        self,
        edits: Sequence[Edit],
        release: Sequence[FeatureName] = (),
        ramp: float = 0.0,
        words: str = "steering",
    ) -> int:
        """Send; 0 if nobody listens."""


class Outbox:
    """Holds edits back while the last request is unanswered or too recent."""

    def __init__(self, sink: EditSink) -> None:
        """Send to `sink`."""
        self._sink = sink
        self._waiting: dict[FeatureName, Edit] = {}
        self._last = float("-inf")

    def put(self, edit: Edit) -> None:
        """Ask for an edit; it replaces one of the same feature that was not sent yet."""
        self._waiting[edit.key] = edit

    def drop(self, name: FeatureName) -> None:
        """Do not send what waits for this feature."""
        self._waiting.pop(name, None)

    def clear(self) -> None:
        """Send nothing of what waits."""
        self._waiting.clear()

    def send(self, now: float) -> bool:
        """Send what waits if it is time (`now` monotonic [s]); return whether it was sent."""
        if not self._waiting or self._sink.busy or now - self._last < SEND_PERIOD:
            return False
        edits, self._waiting = list(self._waiting.values()), {}
        self._last = now
        return bool(self._sink.steer(edits))
