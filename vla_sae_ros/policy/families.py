"""Which adapter reads which policy family."""

from __future__ import annotations

from collections.abc import Callable

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.adapter import PolicyAdapter
from vla_sae_ros.policy.smolvla import smolvla_adapter

FAMILIES: dict[str, Callable[[object], PolicyAdapter]] = {"smolvla": smolvla_adapter}
"""lerobot policy type -> adapter."""


def adapter_for(policy_type: str, policy: object) -> PolicyAdapter:
    """Return the adapter of this policy.

    Raises:
        ConfigurationError: no adapter for this family.
    """
    if policy_type not in FAMILIES:
        raise ConfigurationError(
            complaint("no adapter reads policies of this type", policy_type, sorted(FAMILIES))
        )
    return FAMILIES[policy_type](policy)
