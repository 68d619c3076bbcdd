"""Which policy a folder holds."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vla_sae_ros.policy.checkpoints.checkpoint_files import WEIGHTS

_LENGTH, _BLOCK = 16, 1 << 20


def policy_id_of(*places: Path) -> str:
    """Return the content id of a policy: 16 hex digits of the SHA-256 of its weights.

    Args:
        places: files of weights, or folders with the one that lerobot writes; more than one where
            a policy is of several, in this order.
    """
    digest = hashlib.sha256()
    for place in places:
        with (place / WEIGHTS if place.is_dir() else place).open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()[:_LENGTH]
