"""Exported policies on ONNX Runtime. Nothing in here imports PyTorch or lerobot."""
