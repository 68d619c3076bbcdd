"""The control loop: one paced thread that owns the driver, and the audit log it leaves."""

from vla_sae_ros.robot.loop.loop import ControlLoop

__all__ = ["ControlLoop"]
