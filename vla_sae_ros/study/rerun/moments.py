"""When and in which episode something was that a message tells of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import rerun as rr

from vla_sae_ros.bags.timeline import Timeline, stamp_of

TIME, STEP, RECEIVED = "time", "step", "received"
"""Rerun timelines: [s] since the episode's first observation; executed control ticks; the wall
clock of reception."""

_OWN_STEP = {
    "episode": "step",
    "executed_action": "step",
    "policy/features": "observation_step",
    "annotation": "step",
}
"""Messages that say their episode and step themselves."""


@dataclass(frozen=True)
class Moment:
    """A place on the three timelines."""

    episode_id: str
    """Empty outside every episode."""
    received: int | None
    """[ns]; None for what was computed afterwards."""
    step: int | None = None
    time: float | None = None
    """[s]."""

    def set_on(self, stream: rr.RecordingStream) -> None:
        """Make this the time of what is logged next."""
        stream.reset_time()
        if self.received is not None:
            stream.set_time(RECEIVED, timestamp=np.datetime64(self.received, "ns"))
        if self.step is not None:
            stream.set_time(STEP, sequence=self.step)
        if self.time is not None:
            stream.set_time(TIME, duration=self.time)


def moment_of(name: str, message: Any, received: int, timeline: Timeline) -> Moment:
    """Return when a message of a topic was.

    Args:
        name: of the topic, relative to the system's namespace.
        message: decoded, with a header.
        received: [ns].
        timeline: that knows the message's episode.
    """
    if name in _OWN_STEP:
        episode, step = str(message.episode_id), int(getattr(message, _OWN_STEP[name]))
    else:
        episode, step = timeline.place(stamp_of(message), received) or ("", -1)
    span = timeline.spans.get(episode)
    if span is None or step < 0:
        return Moment(episode if span else "", received)
    # An EpisodeState has no stamp of a tick's.
    since = (
        step / span.control_rate
        if name == "episode" and span.control_rate > 0
        else (stamp_of(message) - span.start_ns) * 1e-9
    )
    return Moment(episode, received, step, max(since, 0.0))
