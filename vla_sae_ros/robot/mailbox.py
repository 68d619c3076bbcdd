"""A place for the newest command: whatever puts it there never waits for the control loop."""

from __future__ import annotations

import threading

from vla_sae_ros.robot.command import ArmCommand
from vla_sae_ros.robot.driver import RobotReading


class CommandMailbox:
    """A CommandSource that holds one command, the newest; each is taken once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: ArmCommand | None = None
        self.replaced = 0
        """Commands that were replaced before a tick took them."""

    def put(self, command: ArmCommand) -> None:
        """Replace what is there; from any thread."""
        with self._lock:
            self.replaced += self._newest is not None
            self._newest = command

    def next(self, reading: RobotReading, now: float) -> ArmCommand | None:
        """Take the newest command, or None."""
        with self._lock:
            command, self._newest = self._newest, None
            return command

    def clear(self) -> None:
        """Throw away what was not taken yet."""
        with self._lock:
            self._newest = None
