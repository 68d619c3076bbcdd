"""Plots and videos of feature traces."""
