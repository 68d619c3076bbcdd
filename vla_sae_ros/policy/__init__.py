"""Policies: one adapter per family, taps and edits on the residual stream, inference."""
