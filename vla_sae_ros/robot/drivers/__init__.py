"""Drivers: a Franka through franky, its hand, and an arm that is only computed."""
