"""Views of the selected and pinned features: details, camera, traces, raster, events."""
