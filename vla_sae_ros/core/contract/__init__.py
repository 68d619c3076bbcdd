"""Contracts: which ROS topics feed which policy feature, and where the actions go."""

from vla_sae_ros.core.contract.actions import Command, command, safe_command
from vla_sae_ros.core.contract.frames import Frame, FrameBuilder
from vla_sae_ros.core.contract.loading import load_contract, parse_contract
from vla_sae_ros.core.contract.schema import Channel, Contract, Entry, Qos, Source, Task

__all__ = [
    "Channel",
    "Command",
    "Contract",
    "Entry",
    "Frame",
    "FrameBuilder",
    "Qos",
    "Source",
    "Task",
    "command",
    "load_contract",
    "parse_contract",
    "safe_command",
]
