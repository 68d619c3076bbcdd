"""Monitors: scores of a policy's inferences with bands calibrated on its successful episodes."""
