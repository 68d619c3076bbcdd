"""What the numbers of an inference depend on besides the policy: libraries and processor."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("numpy", "torch", "lerobot", "transformers", "onnxruntime")
_PACKAGE = Path(__file__).parents[2]
_COMPUTING = ("core", "sae", "policy")
_CPU_INFO = Path("/proc/cpuinfo")


def numeric_versions() -> dict[str, str]:
    """Return name -> version of what must be the same for an inference to repeat to the bit."""
    found = {"cpu": _processor(), "source": source_id()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # not installed: nothing can depend on it
    return found


@cache
def source_id() -> str:
    """Return 16 hex digits over the sources that compute an inference.

    Between two releases the software version stays, and the numbers need not.
    """
    digest = hashlib.sha256()
    for room in _COMPUTING:
        for path in sorted((_PACKAGE / room).rglob("*.py")):
            digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _processor() -> str:
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
