"""Who commands a control tick."""

from __future__ import annotations

from enum import IntEnum


class Commander(IntEnum):
    """ExecutedAction.source and RobotCommand.source."""

    POLICY = 0
    PERSON = 1
    """Somebody has taken over, also while they give no command."""
    HOLD = 2
    """Nobody: there was no valid action."""
