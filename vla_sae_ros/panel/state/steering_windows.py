"""When which edit acted: the shaded stretches behind traces. No Qt."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from vla_sae_ros.core.steering import Phase, StateView
from vla_sae_ros.panel.state.values import FeatureName

_KEPT = 400


@dataclass(frozen=True)
class SteeringWindow:
    """One stretch in which an edit acted."""

    name: FeatureName
    start: float
    """[s] of observation time."""
    end: float
    """[s]; infinite while it still acts."""


class SteeringWindows:
    """Follows the published states."""

    def __init__(self) -> None:
        """Start with none."""
        self._open: dict[FeatureName, SteeringWindow] = {}
        self._closed: deque[SteeringWindow] = deque(maxlen=_KEPT)

    def take(self, view: StateView) -> None:
        """Open and close stretches as the state says."""
        acting = (
            set()
            if view.bypass
            else {edit.key for edit in view.edits if edit.phase is not Phase.WAITING}
        )
        for name in self._open.keys() - acting:
            self._closed.append(replace(self._open.pop(name), end=view.observation_time))
        for name in acting - self._open.keys():
            self._open[name] = SteeringWindow(name, view.observation_time, float("inf"))

    def clear(self) -> None:
        """Forget all."""
        self._open.clear()
        self._closed.clear()

    def since(self, time: float) -> list[SteeringWindow]:
        """Return the stretches that end after `time` [s of observation]."""
        return [window for window in (*self._closed, *self._open.values()) if window.end > time]
