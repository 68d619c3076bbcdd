"""Thin ROS nodes over the rooms below; importing them prepares the environment for rclpy."""

import sys

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.environment import prepare_ros

try:
    prepare_ros()
except ConfigurationError as refusal:  # of a node's process, which has nothing else to do
    print(refusal, file=sys.stderr, flush=True)
    sys.exit(2)
