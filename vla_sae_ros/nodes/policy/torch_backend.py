"""The engine that computes with PyTorch, made from the policy node's parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from vla_sae_ros.nodes.policy.activation_collector import ActivationCollector
from vla_sae_ros.nodes.policy.parameters import PolicyParameters
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.compiled.compilable import require_compilable
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.inference import Engine
from vla_sae_ros.policy.load_options import LoadOptions
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.sae.devices import usable_device


def make_torch_engine(values: PolicyParameters, tell: Callable[[str], None]) -> PolicyEngine:
    """Load the policy and its bundles; `tell` is told how far compiling is, and RTC's settings.

    Raises:
        NotCompiled: it is to be compiled and cannot be.
        ConfigurationError: what is wrong with the policy, a bundle or the device.
    """
    torch.set_num_threads(values.threads)
    device = str(usable_device(values.device))
    loaded = _load(values, device)
    bundles = [SaeBundle.load(folder, device) for folder in values.bundles]
    if values.compile == "never":
        engine = PolicyEngine(loaded, bundles)
        if values.rtc:
            tell(engine.enable_rtc())
        return engine
    require_compilable(loaded)
    from vla_sae_ros.policy.compiled.engine import CompiledEngine  # it imports lerobot

    return CompiledEngine(loaded, bundles, progress=tell)


def _load(values: PolicyParameters, device: str) -> LoadedPolicy:
    options = LoadOptions(values.trust_remote_code, values.unnorm_key)
    return load_policy(values.policy, device, options, values.float32_on_cpu)


def make_torch_collector(
    engine: Engine,
    values: PolicyParameters,
    control_rate: float,
    tell: Callable[[str], None],
) -> ActivationCollector:
    """Return the collector of this engine's activations."""
    assert isinstance(engine, PolicyEngine)
    return ActivationCollector(
        engine,
        Path(values.activations_folder),
        values.activations_sites,
        values.activations_pooling,
        control_rate,
        tell,
    )
