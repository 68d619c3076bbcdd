"""The engine that computes with PyTorch, made from the policy node's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from vla_sae_ros.nodes.base.parameters import Value
from vla_sae_ros.nodes.policy.activation_collector import ActivationCollector
from vla_sae_ros.policy.checkpoints.device import usable_device
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.inference import Engine
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.sae import SaeBundle


def make_torch_engine(values: Mapping[str, Value]) -> PolicyEngine:
    """Load the policy and its bundles.

    Raises:
        ConfigurationError: what is wrong with the policy, a bundle or the device.
    """
    torch.set_num_threads(int(values["threads"]))  # type: ignore[arg-type]
    device = usable_device(str(values["device"]))
    loaded = load_policy(Path(str(values["policy"])), device)
    bundles = [SaeBundle.load(folder, device) for folder in values["bundles"]]  # type: ignore[union-attr]
    return PolicyEngine(loaded, bundles)


def make_torch_collector(
    engine: Engine, values: Mapping[str, Value], control_rate: float
) -> ActivationCollector:
    """Return the collector of this engine's activations."""
    assert isinstance(engine, PolicyEngine)
    return ActivationCollector(
        engine,
        Path(str(values["activations_folder"])),
        values["activations_sites"],  # type: ignore[arg-type]
        str(values["activations_pooling"]),
        control_rate,
    )
