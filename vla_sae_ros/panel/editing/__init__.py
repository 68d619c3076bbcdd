"""Editing: what the sliders ask for, undo, presets, and requests on their way."""
