"""Which policies torch.compile takes; nothing in here imports lerobot."""

from __future__ import annotations

from vla_sae_ros.core.errors import complaint
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.inference import NotCompiled

COMPILED_FAMILIES = ("smolvla", "pi0", "pi05")
"""Families whose chunk is denoised in steps that are all alike."""
UNCOMPILED = "Run it uncompiled: compile:=never of the node, no --compile of a command."


def require_compilable(loaded: LoadedPolicy) -> None:
    """Raise NotCompiled where policies of this family are not compiled."""
    if loaded.policy.name not in COMPILED_FAMILIES:
        raise NotCompiled(
            complaint(
                "no torch.compile for policies of this type",
                loaded.policy.name,
                COMPILED_FAMILIES,
                f"The others do not denoise in steps that are all alike. {UNCOMPILED}",
            )
        )
