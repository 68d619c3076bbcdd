"""Why there is no robot, said once per reason."""

from __future__ import annotations

from collections.abc import Callable

from vla_sae_ros.robot.loop.loop import NO_ROBOT


class MissingRobot:
    """Warns of a robot that cannot be reached.

    Args:
        patience: [s] from now on in which that is no news, because the robot starts, too.
        clock: monotonic [s].
        warn: takes the sentence.
    """

    def __init__(
        self, patience: float, clock: Callable[[], float], warn: Callable[[str], object]
    ) -> None:
        self._clock, self._warn = clock, warn
        self._from = clock() + patience
        self._told = ""

    def note(self, event: str) -> None:
        """Take in one event of the control loop, in its words."""
        if not event.startswith(NO_ROBOT) or event == self._told or self._clock() < self._from:
            return
        self._told = event
        self._warn(event)
