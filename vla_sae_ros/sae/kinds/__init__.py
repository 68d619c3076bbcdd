"""Kinds of sparse autoencoders, and how they normalise what they encode."""
