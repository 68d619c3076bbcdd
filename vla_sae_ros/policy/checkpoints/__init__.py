"""Checkpoint folders: their files, content id, writing them, and what a loaded policy is."""
