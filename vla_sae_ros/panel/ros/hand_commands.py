"""What the panel publishes while it has taken over."""

from __future__ import annotations

import threading

from rclpy.node import Node

from vla_sae_ros.wire.person_topics import PersonPublisher

_STILL = (0.0, 0.0, 0.0)


class HandCommands:
    """Granted and told on the ROS thread, used on the GUI's."""

    def __init__(self, node: Node) -> None:
        """Publish nothing yet: of several tools at once no command would be taken."""
        self._node = node
        self._lock = threading.Lock()
        self._publisher: PersonPublisher | None = None
        self._seen = False

    def switch(self, on: bool) -> None:
        """Begin to publish, or end."""
        with self._lock:
            if self._publisher is not None:
                self._publisher.close()
            self._publisher, self._seen = PersonPublisher(self._node) if on else None, False

    def told(self, mine: bool) -> None:
        """Take note of who commands: end when the bridge has ended what it told of."""
        ended = self._seen and not mine
        self._seen = mine and self._publisher is not None
        if ended:
            self.switch(False)

    def move(self, linear: tuple[float, float, float]) -> None:
        """Publish a tool velocity [m/s]."""
        with self._lock:
            if self._publisher is not None:
                self._publisher.twist(linear, _STILL)

    def grip(self, closing: float) -> None:
        """Publish a gripper request."""
        with self._lock:
            if self._publisher is not None:
                self._publisher.gripper(closing)
