"""Contracts: which ROS topics feed which policy feature, and where the actions go."""

from vla_sae_ros.core.contract.actions import BoundedAction, bounded_action, safe_action
from vla_sae_ros.core.contract.frames import Frame, FrameBuilder
from vla_sae_ros.core.contract.loading import load_contract, parse_contract
from vla_sae_ros.core.contract.schema import Channel, Contract, Entry, Qos, Source, Task

__all__ = [
    "BoundedAction",
    "Channel",
    "Contract",
    "Entry",
    "Frame",
    "FrameBuilder",
    "Qos",
    "Source",
    "Task",
    "bounded_action",
    "load_contract",
    "parse_contract",
    "safe_action",
]
