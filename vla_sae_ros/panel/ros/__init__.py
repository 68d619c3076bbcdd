"""The panel's connection to ROS: subscriptions, requests and cameras on a thread of their own."""

from vla_sae_ros.environment import prepare_ros

prepare_ros()
