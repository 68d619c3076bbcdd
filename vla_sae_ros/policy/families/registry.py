"""Which adapter reads which policy family."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.families.adapter import PolicyAdapter

if TYPE_CHECKING:
    from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy


@dataclass(frozen=True)
class Family:
    """A family's adapter, and its small models; a module is imported when a policy needs it.

    Attributes:
        module, function: of the adapter.
        tiny: module that builds small models, with `shrunken_as_saved`, where lerobot's own
            configuration cannot say how small they are.
        masks_cameras: a camera of its configuration may be missing: lerobot fills its slot and
            masks it. Others would leave the slot out, and read what they were not trained on.
        continues_chunks: lerobot has real-time chunking for it.
    """

    module: str
    function: str
    tiny: str = ""
    masks_cameras: bool = False
    continues_chunks: bool = False

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
    "vla_sae_ros.policy.families.pi0",
    "pi0_adapter",
    "vla_sae_ros.policy.tiny.tiny_pi",
    masks_cameras=True,
    continues_chunks=True,
)
FAMILIES = {
    "smolvla": Family(
        "vla_sae_ros.policy.families.smolvla", "smolvla_adapter", continues_chunks=True
    ),
    "pi0": PI,
    "pi05": PI,
    "pi0_fast": Family(
        "vla_sae_ros.policy.families.pi0_fast",
        "pi0_fast_adapter",
        "vla_sae_ros.policy.tiny.tiny_pi",
        True,
    ),
    "groot": Family("vla_sae_ros.policy.families.groot", "groot_adapter", continues_chunks=True),
    "xvla": Family("vla_sae_ros.policy.families.xvla", "xvla_adapter"),
    "openvla": Family("vla_sae_ros.policy.families.openvla", "openvla_adapter"),
}
"""lerobot policy type -> adapter."""
OTHERS = Family("vla_sae_ros.policy.families.modules", "module_adapter")
"""Of every type that is not among them: its modules are its sites."""


def family_of(policy_type: str) -> Family:
    """Return the family of a policy type; OTHERS where it has no adapter of its own."""
    return FAMILIES.get(policy_type, OTHERS)


def adapter_for(policy_type: str, policy: object) -> PolicyAdapter:
    """Return a family's own adapter of this policy.

    Raises:
        ConfigurationError: no adapter for this family, or the policy cannot be tapped.
    """
    if policy_type not in FAMILIES:
        raise ConfigurationError(
            complaint("no adapter reads policies of this type", policy_type, sorted(FAMILIES))
        )
    return FAMILIES[policy_type].adapter(policy)


def adapter_of(loaded: LoadedPolicy) -> PolicyAdapter:
    """Return the adapter of a loaded policy: its family's own, or that of its modules.

    Raises:
        ConfigurationError: the policy cannot be tapped.
    """
    name = loaded.policy.name
    return adapter_for(name, loaded.policy) if name in FAMILIES else OTHERS.adapter(loaded)
