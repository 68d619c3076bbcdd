"""Heatmaps of features over the pictures, for catalogues."""
