"""Clients of a running system: for scripts, and `vla-sae run`, `steer` and `record`."""

from vla_sae_ros.environment import prepare_ros

prepare_ros()
