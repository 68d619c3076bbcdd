"""The safety envelope: what becomes of one command at one control tick."""

from vla_sae_ros.robot.envelope.envelope import SafetyEnvelope

__all__ = ["SafetyEnvelope"]
