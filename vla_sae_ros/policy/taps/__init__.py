"""Taps: an SAE on a site of the residual stream, reading it and adding the difference of edits."""
