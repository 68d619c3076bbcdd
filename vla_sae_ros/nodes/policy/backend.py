"""What computes the policy. Imported when chosen: a robot computer may have no PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vla_sae_ros.core.contract import Contract
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.nodes.policy.parameters import PolicyParameters
from vla_sae_ros.policy.inference import Engine

if TYPE_CHECKING:
    from vla_sae_ros.nodes.policy.activation_collector import ActivationCollector
    from vla_sae_ros.nodes.policy.injected_stream import InjectedStream


def make_engine(values: PolicyParameters, tell: Callable[[str], None]) -> Engine:
    """Return the engine that the node's parameters ask for; `tell` is told what takes long.

    Raises:
        ConfigurationError: what is wrong with them, or with what they name.
    """
    if not values.policy:
        raise ConfigurationError(
            complaint("no policy named", values.policy, "a folder", "Set the parameter `policy`.")
        )
    if values.compile != "never" and values.activations_folder:
        raise ConfigurationError(
            complaint(
                "compile where activations are collected",
                values.compile,
                "never",
                "vla-sae collect has --compile.",
            )
        )
    if values.rtc and values.compile != "never":
        raise ConfigurationError(
            complaint("compile with rtc:=true", values.compile, "never: it is not compiled")
        )
    if values.rtc and values.inject:
        raise ConfigurationError(
            complaint(
                "inject with rtc:=true", values.inject, "empty: it would act in later chunks, too"
            )
        )
    if values.backend == "onnx":
        if values.rtc:
            raise ConfigurationError(
                complaint("rtc of an exported policy", True, "false, or backend:=torch")
            )
        if values.publish_pooled:
            raise ConfigurationError(
                complaint(
                    "publish_pooled of an exported policy",
                    True,
                    "false: its graph gives no residual stream",
                )
            )
        if values.compile == "always":
            raise ConfigurationError(
                complaint("compile of an exported policy", values.compile, "never: it is compiled")
            )
        return _make_onnx_engine(values)
    from vla_sae_ros.nodes.policy.torch_backend import make_torch_engine

    return make_torch_engine(values, tell)


def bundle_folders(engine: Engine, values: PolicyParameters) -> tuple[Path, ...]:
    """Return where the catalogue of each of the engine's bundles is kept, in their order."""
    if values.backend == "onnx":
        from vla_sae_ros.policy.onnx.engine import OnnxEngine

        assert isinstance(engine, OnnxEngine)
        return tuple(bundle.folder for bundle in engine.bundles)
    return tuple(Path(folder) for folder in values.bundles)


def make_collector(
    engine: Engine,
    values: PolicyParameters,
    control_rate: float,
    tell: Callable[[str], None],
) -> ActivationCollector | None:
    """Return what collects activations, if the parameters ask for it.

    tell: is told if nothing more can be written.
    """
    if not values.activations_folder:
        return None
    if values.backend == "onnx":
        raise ConfigurationError(
            complaint(
                "backend that activations are collected with",
                "onnx",
                "torch",
                "An exported policy has no other taps than its SAEs'.",
            )
        )
    from vla_sae_ros.nodes.policy.torch_backend import make_torch_collector

    return make_torch_collector(engine, values, control_rate, tell)


def make_injected(
    engine: Engine, values: PolicyParameters, contract: Contract, tell: Callable[[str], None]
) -> InjectedStream | None:
    """Return what injects another episode's stream, if the parameters ask for it.

    Raises:
        VlaSaeError: what is wrong with them, or with the donor.
    """
    if not values.inject:
        return None
    for name, fits in (("backend", "torch"), ("compile", "never")):
        if getattr(values, name) != fits:
            raise ConfigurationError(
                complaint(
                    f"{name} of a policy with an injected stream",
                    getattr(values, name),
                    fits,
                    "An exported or compiled policy has no other taps than its SAEs'.",
                )
            )
    from vla_sae_ros.nodes.policy.donor_reading import injected_stream
    from vla_sae_ros.policy.engine import PolicyEngine

    assert isinstance(engine, PolicyEngine)
    return injected_stream(engine, values, contract, tell)


def _make_onnx_engine(values: PolicyParameters) -> Engine:
    try:
        from vla_sae_ros.policy.onnx.engine import OnnxEngine
    except ImportError as error:
        raise ConfigurationError(
            f"backend:=onnx needs ONNX Runtime, but {error}. Install it: pip install "
            "'vla_sae_ros[onnx]', or onnxruntime-gpu on a computer with a GPU."
        ) from error
    return OnnxEngine(
        Path(values.policy),
        [Path(folder) for folder in values.bundles],
        values.device,
        values.threads,
    )
