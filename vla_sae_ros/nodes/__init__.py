"""Thin ROS nodes over the rooms below. Importing this package prepares the environment for rclpy."""

from vla_sae_ros.environment import prepare

prepare()
