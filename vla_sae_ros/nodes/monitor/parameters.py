"""The monitor node's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from vla_sae_ros.core.on_alarm import ON_ALARM, ON_ALARM_HELP
from vla_sae_ros.core.parameters import parameter


@dataclass(frozen=True)
class MonitorParameters:
    """The monitor node's."""

    monitor: str = parameter("", "folder that vla-sae monitor fit wrote")
    score: str = parameter("", "score that raises the alarm; empty = as the monitor says")
    on_alarm: str = parameter("log", ON_ALARM_HELP, choices=ON_ALARM, live=True)
