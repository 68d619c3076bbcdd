"""The states of an arm."""

from __future__ import annotations

from enum import StrEnum

from vla_sae_ros.robot.reasons import Status


class State(StrEnum):
    """Where an arm stands between two events."""

    OFFLINE = "offline"
    """No connection, or no fresh state."""
    DISABLED = "disabled"
    """Connected and holding still."""
    ENABLED = "enabled"
    """One owner moves it."""
    TAKEN_OVER = "taken over"
    """Its owner moves it by hand; what the policy wants does not reach it."""
    STOPPED = "stopped"
    """Latched."""
    RECOVERING = "recovering"
    """Still latched; the driver clears its faults."""


STATUS = {
    State.OFFLINE: Status.OFFLINE,
    State.DISABLED: Status.DISABLED,
    State.ENABLED: Status.ENABLED,
    State.TAKEN_OVER: Status.ENABLED,
    State.STOPPED: Status.STOPPED,
    State.RECOVERING: Status.STOPPED,
}
"""What RobotState.status says: a recovery that is under way is still a stop."""
