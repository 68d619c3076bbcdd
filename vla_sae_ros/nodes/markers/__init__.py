"""Markers of the hand, the next actions and the steering, for RViz and Foxglove."""
