"""`vla-sae monitor <verb>`: an alarm that is calibrated, and what it is worth."""

from __future__ import annotations

from vla_sae_ros.commands import FOLDERS, Command, Read

COMMANDS = (
    Command(
        "fit",
        "vla_sae_ros.study.monitoring.fit_command",
        "scores and thresholds from collected activations",
        reads=(Read(0, "vla_sae_ros.activations.format", "Collection.load"),),
    ),
    Command(
        "score",
        "vla_sae_ros.study.monitoring.score_command",
        "false alarms and failures caught, in activations or bags",
        reads=(Read(0, FOLDERS, "require_folder"),),
    ),
)
