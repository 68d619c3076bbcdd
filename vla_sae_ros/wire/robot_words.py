"""What a robot's bridge answers, where a client has to understand it: SetBool has only words."""

from __future__ import annotations

RECOVERY = 24.0
"""[s] within which the bridge answers a recover: it gives the robot 20 s, and itself 3 s."""


def enabled_for(owner: str) -> str:
    """Return the answer to a granted enable; whoever is named in it owns the arm, nobody else."""
    return f"motion is enabled for {owner}"


def taken_over_by(owner: str) -> str:
    """Return the answer to a granted takeover; whoever is named in it commands, nobody else."""
    return f"taken over by {owner}"


def handed_back_by(owner: str) -> str:
    """Return the answer to a granted hand-back."""
    return f"handed back by {owner}"
