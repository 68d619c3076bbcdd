"""What the numbers of an inference depend on besides the policy: libraries and processor."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("numpy", "torch", "lerobot", "transformers", "onnxruntime")
_CPU_INFO = Path("/proc/cpuinfo")


def numeric_versions() -> dict[str, str]:
    """Return name -> version of what must be the same for an inference to repeat to the bit."""
    found = {"cpu": _processor()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # not installed: nothing can depend on it
    return found


def _processor() -> str:
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
