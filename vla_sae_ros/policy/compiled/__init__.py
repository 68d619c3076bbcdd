"""Policies compiled with torch.compile, with their taps inside the graph."""
