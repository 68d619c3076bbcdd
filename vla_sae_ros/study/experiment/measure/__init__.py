"""Measuring a study: effects, intervals, tests and verdicts."""
