"""A running system in a Rerun viewer."""

from __future__ import annotations

import queue
import sys
import time
from collections import Counter
from collections.abc import Sequence

from rosbags.interfaces import Qos

from vla_sae_ros.bags.pictures import HEATMAP
from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.environment import check_domain
from vla_sae_ros.live.listener import Listener
from vla_sae_ros.live.rerun_drawing import LiveDrawing
from vla_sae_ros.live.rerun_viewer import Viewer, open_viewer, viewer_at
from vla_sae_ros.study.plots.feature_choice import FeatureName
from vla_sae_ros.study.rerun.scene import TOPICS

_WAITING = 1000  # messages, at most, that have arrived and are not drawn yet
_TURN = 0.2  # [s]

Arrived = tuple[str, int, bytes]
"""Topic, time of reception [ns], CDR bytes."""


class Arrivals:
    """Takes messages from subscriptions, as a recording does, and keeps them until drawn."""

    def __init__(self) -> None:
        self.waiting: queue.Queue[Arrived] = queue.Queue(_WAITING)
        self.types: dict[str, str] = {}
        self.dropped: Counter[str] = Counter()

    def add_topic(self, topic: str, msgtype: str, _offered: Sequence[Qos], /) -> None:
        """Take note of a topic's type before its first message."""
        self.types[topic] = msgtype

    def put(self, topic: str, received_ns: int, data: bytes, /) -> None:
        """Keep a message; when too many wait it is dropped and counted."""
        try:
            self.waiting.put_nowait((topic, received_ns, data))
        except queue.Full:
            self.dropped[topic] += 1


class LiveView:
    """Subscribes to a system in `namespace` and draws what it says into a viewer."""

    def __init__(
        self, viewer: Viewer, features: Sequence[FeatureName] = (), namespace: str = ""
    ) -> None:
        self._arrivals = Arrivals()
        self._listener = Listener("rerun", self._arrivals, (*TOPICS, HEATMAP), namespace)
        self._drawing = LiveDrawing(viewer.url, self._listener.prefix, features)
        self._failed: Counter[str] = Counter()
        self._drawn = 0

    def draw_next(self) -> bool:
        """Draw a message that has arrived; return False when none did for a moment."""
        try:
            topic, received, data = self._arrivals.waiting.get(timeout=_TURN)
        except queue.Empty:
            return False
        try:
            self._drawing.draw(topic, self._arrivals.types[topic], received, data)
            self._drawn += 1
        except RecordingError as error:
            words = f"{topic}: {error}"
            if words not in self._failed:
                print(f"not drawn: {words}", file=sys.stderr, flush=True)
            self._failed[words] += 1
        return True

    def close(self) -> str:
        """Leave the graph and end the recordings; return in words what was drawn."""
        self._listener.close()
        self._drawing.close()
        dropped, failed = self._arrivals.dropped.total(), self._failed.total()
        return f"{self._drawn} messages drawn, {dropped} dropped, {failed} not readable"


def show_live(features: Sequence[FeatureName], connect: str | None, namespace: str | None) -> int:
    """Draw the running system until Ctrl-C or until the viewer is closed; return 0."""
    check_domain()
    viewer = viewer_at(connect) if connect else open_viewer()
    view = LiveView(viewer, features, namespace or "")
    print(f"drawing into the viewer at {viewer.url} until Ctrl-C", flush=True)
    try:
        seen = time.monotonic()
        while True:
            if view.draw_next():
                continue
            now = time.monotonic()
            if now - seen > _TURN and viewer.closed:
                print("the viewer was closed")
                break
            seen = now
    except KeyboardInterrupt:
        pass
    finally:
        print(view.close())
    return 0
