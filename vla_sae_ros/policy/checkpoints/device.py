"""Which device torch computes on."""

from __future__ import annotations

import torch

from vla_sae_ros.core.errors import ConfigurationError, complaint


def usable_device(name: str) -> str:
    """Return the device's name; raises ConfigurationError when torch cannot use it here."""
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigurationError(
            complaint(
                "torch cannot use this device", name, "cpu, or a device of this machine", str(error)
            )
        ) from error
    return name
