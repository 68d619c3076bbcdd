"""Which policy a folder holds."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vla_sae_ros.policy.checkpoints.checkpoint_files import WEIGHTS

_LENGTH = 16


def policy_id_of(folder: Path) -> str:
    """Return the content id of a policy folder: 16 hex digits of its weights' SHA-256."""
    with (folder / WEIGHTS).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:_LENGTH]
