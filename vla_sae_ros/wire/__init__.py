"""What nodes, clients and panel share of the wire: QoS profiles and message conversions."""

from vla_sae_ros.environment import prepare_ros

prepare_ros()
