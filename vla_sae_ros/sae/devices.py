"""Devices that torch computes on, by name."""

from __future__ import annotations

import torch

from vla_sae_ros.core.errors import ConfigurationError, complaint


def usable_device(name: str | torch.device) -> torch.device:
    """Return torch's device of this name, e.g. "cpu" or "cuda:0".

    Raises ConfigurationError where torch knows none, or this machine has none.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        what, allowed = "torch cannot use this device", "cpu, or a GPU that it finds, e.g. cuda:0"
        raise ConfigurationError(complaint(what, str(name), allowed, reason)) from error
    return device
