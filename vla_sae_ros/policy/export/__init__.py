"""Exporting policies with their taps as ONNX graphs."""
