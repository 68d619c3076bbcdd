"""Simulated robots behind one Environment protocol; no ROS."""
