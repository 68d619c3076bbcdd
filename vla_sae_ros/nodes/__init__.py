"""Thin ROS nodes over the rooms below; importing them prepares the environment for rclpy."""

from vla_sae_ros.environment import prepare

prepare()
