"""What every test runs in: its own ROS domain on this machine only, no screen, one thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from vla_sae_ros.environment import prepare

if TYPE_CHECKING:
    from rclpy.context import Context

# Before numpy, rclpy or Qt are imported by a test. Two runs on one machine must not hear each other,
# and domains above 101 would take ports that the system gives to others.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 101)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ.setdefault("FASTDDS_BUILTIN_TRANSPORTS", "UDPv4")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "1")
prepare()


@pytest.fixture
def ros_context() -> Iterator[Context]:
    """A fresh rclpy context; pass it to every node and executor of the test."""
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    context.try_shutdown()
