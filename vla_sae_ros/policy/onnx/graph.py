"""One ONNX graph on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime import OrtValue

from vla_sae_ros.core.errors import ConfigurationError, complaint

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Kind of device -> execution provider."""


class Graph:
    """A graph on one device.

    Args:
        path: of the .onnx file.
        device: "cpu", "cuda" or "cuda:<number>".
        threads: for the arithmetic, on a CPU.

    Raises:
        ConfigurationError: the device cannot be used, or the file cannot be read.
    """

    def __init__(self, path: Path, device: str, threads: int) -> None:
        self._kind, self._number = _device(device)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that wait by spinning would take the cores from cameras, control and ROS.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        provider = (PROVIDERS[self._kind], {"device_id": self._number} if self._number else {})
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, [provider])
        except Exception as error:  # ONNX Runtime has a class of its own for each kind of failure
            raise ConfigurationError(
                f"{path} could not be loaded: {type(error).__name__}: {error}. Export again."
            ) from error
        self.inputs = {value.name for value in self._session.get_inputs()}
        self._outputs = [value.name for value in self._session.get_outputs()]

    def run(
        self, feeds: Mapping[str, np.ndarray | OrtValue], stay: Collection[str] = ()
    ) -> dict[str, OrtValue]:
        """Compute the graph's outputs by name; those in `stay` are left on the device."""
        binding = self._session.io_binding()
        for name in self.inputs:
            value = feeds[name]
            if isinstance(value, OrtValue):
                binding.bind_ortvalue_input(name, value)
            else:
                binding.bind_cpu_input(name, value)
        for name in self._outputs:
            kind, number = (self._kind, self._number) if name in stay else ("cpu", 0)
            binding.bind_output(name, kind, number)
        self._session.run_with_iobinding(binding)
        return dict(zip(self._outputs, binding.get_outputs(), strict=True))


def _device(name: str) -> tuple[str, int]:
    kind, _, number = name.partition(":")
    offered = onnxruntime.get_available_providers()
    if PROVIDERS.get(kind) not in offered or not (number or "0").isdecimal():
        usable = [kind for kind, provider in PROVIDERS.items() if provider in offered]
        raise ConfigurationError(
            complaint(
                "ONNX Runtime cannot use this device",
                name,
                usable,
                "For cuda, install onnxruntime-gpu in the place of onnxruntime.",
            )
        )
    return kind, int(number or 0)
