"""Which adapter reads which policy family."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.families.adapter import PolicyAdapter


@dataclass(frozen=True)
class Family:
    """A family's adapter, and its small models; a module is imported when a policy needs it.

    Attributes:
        module, function: of the adapter.
        tiny: module that builds small models, with `shrunken_as_saved`, where lerobot's own
            configuration cannot say how small they are.
        masks_cameras: a camera of its configuration may be missing: lerobot fills its slot and
            masks it. Others would leave the slot out, and read what they were not trained on.
    """

    module: str
    function: str
    tiny: str = ""
    masks_cameras: bool = False

    def adapter(self, policy: object) -> PolicyAdapter:
        made: PolicyAdapter = getattr(importlib.import_module(self.module), self.function)(policy)
        return made

    def as_saved(self, policy_type: str, folder: Path) -> AbstractContextManager[None]:
        """Return a context in which lerobot builds the policy in the size the folder has it."""
        if not self.tiny:
            return nullcontext()
        context: AbstractContextManager[None] = importlib.import_module(
            self.tiny
        ).shrunken_as_saved(policy_type, folder)
        return context


PI = Family(
    "vla_sae_ros.policy.families.pi0", "pi0_adapter", "vla_sae_ros.policy.tiny.tiny_pi", True
)
FAMILIES = {
    "smolvla": Family("vla_sae_ros.policy.families.smolvla", "smolvla_adapter"),
    "pi0": PI,
    "pi05": PI,
    "pi0_fast": Family(
        "vla_sae_ros.policy.families.pi0_fast",
        "pi0_fast_adapter",
        "vla_sae_ros.policy.tiny.tiny_pi",
        True,
    ),
    "groot": Family("vla_sae_ros.policy.families.groot", "groot_adapter"),
    "xvla": Family("vla_sae_ros.policy.families.xvla", "xvla_adapter"),
}
"""lerobot policy type -> adapter."""
NOT_READ = {
    "wall_x": (
        "WALL-OSS makes its tokens inside lerobot's predict_action_chunk, so that nobody outside "
        "knows which of them are pictures, words or padding, and its float32 form, in which "
        "policies run on a CPU, stops at a state embedding that is always bfloat16"
    ),
}
"""lerobot policy type that has no adapter -> why."""


def why_not_read(policy_type: str) -> str:
    """Return in words why no adapter reads this type of lerobot's; empty where none is known."""
    return NOT_READ.get(policy_type, "")


def require_family(policy_type: str) -> Family:
    """Return the family of a policy type.

    Raises:
        ConfigurationError: no adapter for this family.
    """
    if policy_type not in FAMILIES:
        raise ConfigurationError(
            complaint(
                "no adapter reads policies of this type",
                policy_type,
                sorted(FAMILIES),
                why_not_read(policy_type),
            )
        )
    return FAMILIES[policy_type]


def adapter_for(policy_type: str, policy: object) -> PolicyAdapter:
    """Return the adapter of this policy.

    Raises:
        ConfigurationError: no adapter for this family, or the policy cannot be tapped.
    """
    return require_family(policy_type).adapter(policy)
