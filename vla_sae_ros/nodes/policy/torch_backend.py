"""The engine that computes with PyTorch, made from the policy node's parameters."""

from __future__ import annotations

from pathlib import Path

import torch

from vla_sae_ros.nodes.policy.activation_collector import ActivationCollector
from vla_sae_ros.nodes.policy.parameters import PolicyParameters
from vla_sae_ros.policy.checkpoints.device import usable_device
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.inference import Engine
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.sae import SaeBundle


def make_torch_engine(values: PolicyParameters) -> PolicyEngine:
    """Load the policy and its bundles.

    Raises:
        ConfigurationError: what is wrong with the policy, a bundle or the device.
    """
    torch.set_num_threads(values.threads)
    device = usable_device(values.device)
    loaded = load_policy(Path(values.policy), device)
    bundles = [SaeBundle.load(folder, device) for folder in values.bundles]
    return PolicyEngine(loaded, bundles)


def make_torch_collector(
    engine: Engine, values: PolicyParameters, control_rate: float
) -> ActivationCollector:
    """Return the collector of this engine's activations."""
    assert isinstance(engine, PolicyEngine)
    return ActivationCollector(
        engine,
        Path(values.activations_folder),
        values.activations_sites,
        values.activations_pooling,
        control_rate,
    )
