"""The policy node: observations in, chunks and features out, and the steering service."""
