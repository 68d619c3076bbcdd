"""What a contract's channel is in ROS: a message class and a QoS profile."""

from __future__ import annotations

import importlib
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from vla_sae_ros.core.contract import Channel, Qos
from vla_sae_ros.core.contract.messages import message_type
from vla_sae_ros.core.errors import ConfigurationError


def message_class(channel: Channel) -> Any:
    """Return the class of the channel's messages.

    Only types that contracts support are ever imported. Raises ConfigurationError when the
    package of one is not installed.
    """
    message_type(channel.type, channel.topic)
    package, _, name = channel.type.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except ImportError as error:
        raise ConfigurationError(
            f"The contract's topic {channel.topic} needs {channel.type}, but {package} is not "
            "installed. Install it, or take the topic out of the contract."
        ) from error


def qos_profile(qos: Qos) -> QoSProfile:
    """Return the rclpy profile of a channel's QoS."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=qos.depth,
        reliability=ReliabilityPolicy[qos.reliability.upper()],
        durability=DurabilityPolicy[qos.durability.upper()],
    )
