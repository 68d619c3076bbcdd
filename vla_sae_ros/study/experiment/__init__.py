"""Steering experiments: planned, run, measured and judged."""
