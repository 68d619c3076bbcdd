"""Episodes as every bridge runs them: ticks, chunks, progress, result."""
