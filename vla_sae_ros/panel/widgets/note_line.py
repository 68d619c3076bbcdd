"""The last line of the panel: how requests ended, and what went wrong inside the panel."""

from __future__ import annotations

import time

from vla_sae_ros.panel.widgets.elided import Elided
from vla_sae_ros.panel.widgets.guard import Mishaps

_SECONDS = 8.0


class NoteLine(Elided):
    """Shows a note for some seconds; an internal error stays."""

    def __init__(self, mishaps: Mishaps) -> None:
        """Show the errors that `mishaps` counts from now on."""
        super().__init__()
        self._mishaps, self._before = mishaps, mishaps.count
        self._until = 0.0

    def tell(self, text: str, warning: bool = False) -> None:
        """Show a note; it never replaces a warning."""
        now = time.monotonic()
        if warning or not self.warning or now > self._until:
            self.show_text(text, warning)
            self._until = now + _SECONDS

    def refresh(self, now: float) -> None:
        """Take old notes away; show internal errors."""
        count = self._mishaps.count - self._before
        if count:
            self.show_text(f"{count} internal errors, the last: {self._mishaps.last}", True)
        elif now > self._until:
            self.show_text("")
