"""Edits on their way to the policy: the newest value of each feature, at a bounded rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vla_sae_ros.panel.values import FeatureName

SEND_PERIOD = 1 / 15
"""[s] between two requests while a slider moves."""


class EditSink(Protocol):
    """Takes edits without waiting, as RosClient does."""

    @property
    def busy(self) -> bool:
        """A request waits for its answer."""

    def set_edits(self, values: Sequence[tuple[FeatureName, float]]) -> bool:
        """Send; False if nobody listens."""


class Outbox:
    """Holds values back while the last request is unanswered or too recent."""

    def __init__(self, sink: EditSink) -> None:
        """Send to `sink`."""
        self._sink = sink
        self._waiting: dict[FeatureName, float] = {}
        self._last = float("-inf")

    def put(self, name: FeatureName, value: float) -> None:
        """Ask for a value; it replaces one of the same feature that was not sent yet."""
        self._waiting[name] = value

    def drop(self, name: FeatureName) -> None:
        """Do not send what waits for this feature."""
        self._waiting.pop(name, None)

    def clear(self) -> None:
        """Send nothing of what waits."""
        self._waiting.clear()

    def send(self, now: float, urgent: bool = False) -> bool:
        """Send what waits, if it is time (`now` monotonic [s]) or urgent; return what happened."""
        if not self._waiting:
            return False
        if not urgent and (self._sink.busy or now - self._last < SEND_PERIOD):
            return False
        values, self._waiting = list(self._waiting.items()), {}
        self._last = now
        return self._sink.set_edits(values)
