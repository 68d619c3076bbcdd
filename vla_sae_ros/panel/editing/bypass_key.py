"""Space: held, it compares with the plain policy; tapped, it latches the bypass."""

from __future__ import annotations

from collections.abc import Callable

TAP_SECONDS = 0.35
"""A key that goes up within this time was a tap."""


class BypassKey:
    """Turns key presses into bypass requests.

    Args:
        ask: asks the policy for bypass on (True) or off.
    """

    def __init__(self, ask: Callable[[bool], None]) -> None:
        """Start with the key up."""
        self._ask = ask
        self._pressed_at: float | None = None
        self._before = False

    def press(self, bypassed: bool, now: float) -> None:
        """The key goes down at `now` [s] while the policy reports this bypass."""
        if self._pressed_at is None:
            self._pressed_at, self._before = now, bypassed
            self._ask(not bypassed)

    def release(self, now: float) -> None:
        """The key goes up; one that was held gives back what was before."""
        if self._pressed_at is not None and now - self._pressed_at > TAP_SECONDS:
            self._ask(self._before)
        self._pressed_at = None

    def interrupt(self) -> None:
        """The window loses the keyboard while the key is down: nobody will see it go up."""
        if self._pressed_at is not None:
            self._ask(self._before)
        self._pressed_at = None
