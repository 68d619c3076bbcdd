"""Which tests run in one worker process of pytest-xdist, one after another.

A worker gets whole files, so that it makes their fixtures once; files that share what is dear to
make go to one worker together.
"""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
TOGETHER = {
    "policy/onnx/": "exported policies",
    "sim/": "LIBERO",
    "study/demonstrations/": "LIBERO",
    "study/substitution/test_in_libero.py": "LIBERO",
    "live/test_killed_policy.py": "a running system",
    "test_examples.py": "a running system",
}
"""Beginning of a file's path -> what its tests share with the others of the same name."""


def group_of(path: Path) -> str:
    """Return the name of the group of a test file: that of what it shares, or its own."""
    name = path.relative_to(TESTS).as_posix() if path.is_relative_to(TESTS) else path.name
    return next((shared for start, shared in TOGETHER.items() if name.startswith(start)), name)
