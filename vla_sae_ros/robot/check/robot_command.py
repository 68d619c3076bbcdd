"""`vla-sae robot <verb>`: what can be done with an arm without a policy."""

from __future__ import annotations

from vla_sae_ros.commands import Command

COMMANDS = (
    Command(
        "check",
        "vla_sae_ros.robot.check.command",
        "connection, limits, directions, latency and stop distance, at low speed",
    ),
)
