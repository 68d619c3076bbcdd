"""Collected activations: the folder that `collect` writes and everything offline reads."""
