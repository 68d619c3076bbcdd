"""The policy node's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from vla_sae_ros.core.parameters import MAP_HELP, parameter
from vla_sae_ros.core.steering import SteeringLimits

_LIMITS = SteeringLimits()


@dataclass(frozen=True)
class PolicyParameters:
    """The policy node's."""

    policy: str = parameter("", "folder of the policy: config.json, weights and processors")
    bundles: tuple[str, ...] = parameter((), "folders of SAE bundles, one per tapped site")
    contract: str = parameter(
        "",
        "contract file that maps topics to the policy's features; empty = that of `env`",
    )
    env: str = parameter(
        "libero",
        "environment whose contract is used if no file is given: libero, or "
        "one of lerobot's with its settings, e.g. metaworld:task=push-v3",
    )
    map: str = parameter("", MAP_HELP)
    unnorm_key: str = parameter(
        "",
        "OpenVLA: data set whose statistics convert tokens into actions; empty = the only one",
    )
    trust_remote_code: bool = parameter(
        False,
        "run Python code that comes with the policy's folder, or that a file in it names on the "
        "Hugging Face hub; OpenVLA cannot be loaded without",
    )
    backend: str = parameter(
        "torch",
        "inference backend: torch, or onnx for an exported policy (vla-sae export)",
        choices=("torch", "onnx"),
    )
    device: str = parameter("cpu", "device the policy runs on, e.g. cpu or cuda:0")
    float32_on_cpu: bool = parameter(
        True,
        "compute in float32 on a CPU; false: as the policy's config.json says, e.g. in bfloat16, "
        "which takes half the memory",
    )
    compile: str = parameter(
        "never",
        "compile the policy with its taps by torch.compile, which takes "
        "minutes, for faster inference: never, always, or if_possible, which "
        "falls back to eager mode if compiling is not possible",
        choices=("never", "always", "if_possible"),
    )
    rtc: bool = parameter(
        False,
        "real-time chunking: pull every chunk towards the rest of the one before, as rtc_config in "
        "the policy's config.json says; SmolVLA, pi0, pi0.5 and GR00T. It delays edits",
    )
    threads: int = parameter(1, "threads the policy computes with on a CPU", minimum=1, maximum=256)
    autostart: bool = parameter(
        True, "configure and activate the node at start, without lifecycle requests"
    )
    frame_timeout: float = parameter(
        1.0,
        "longest wait for the pictures and states of a requested observation before it is reported",
        unit="s",
        minimum=0.05,
        maximum=60.0,
    )
    allow_other_pictures: bool = parameter(
        False,
        "accept pictures of another render quality than the policy was trained "
        "on; otherwise such requests are refused",
    )
    cap: float = parameter(
        _LIMITS.cap,
        "largest ||dx|| / ||x|| per token of a site's edits",
        minimum=0.0,
        maximum=100.0,
        live=True,
    )
    slew_limit: float = parameter(
        _LIMITS.slew_limit,
        "maximum rate of change of an edit's value",
        unit="observed maxima / s",
        minimum=0.01,
        maximum=1e6,
        live=True,
    )
    max_multiple: float = parameter(
        _LIMITS.max_multiple,
        "largest accepted value of an edit",
        unit="observed maxima",
        minimum=0.0,
        maximum=1e6,
        live=True,
    )
    default_lease: float = parameter(
        _LIMITS.default_lease,
        "lease of a steering request that gives none",
        unit="s",
        minimum=0.1,
        maximum=_LIMITS.max_lease,
        live=True,
    )
    heatmap_site: str = parameter(
        "", "site of the feature that policy/feature_heatmap shows at the start"
    )
    heatmap_feature: int = parameter(
        -1,
        "feature that policy/feature_heatmap shows at the start; -1 = none",
        minimum=-1,
        maximum=2**31 - 1,
    )
    publish_pooled: bool = parameter(
        False,
        "publish the mean residual stream of every tapped site in policy/features, too: monitors "
        "need it, live and in bags; 4 bytes per dimension",
    )
    inject: str = parameter(
        "",
        "bag of a donor's episode, recorded with pictures: its residual stream is injected into "
        "the episodes of a simulation; empty = none",
    )
    inject_episode: str = parameter("1", "donor's episode in that bag: id, or number from 1")
    inject_site: str = parameter("", "site at which it is injected, e.g. backbone.1")
    inject_tokens: tuple[str, ...] = parameter(
        (), "token groups that are replaced, e.g. camera; empty = all of the site"
    )
    activations_folder: str = parameter(
        "", "folder for collected activations; empty = do not collect"
    )
    activations_sites: tuple[str, ...] = parameter((), "sites whose activations are collected")
    activations_pooling: str = parameter(
        "mean", "pooling of the collected activations", choices=("mean", "token")
    )


def steering_limits(values: PolicyParameters) -> SteeringLimits:
    """Return the steering limits among the node's parameters."""
    return SteeringLimits(
        cap=values.cap,
        slew_limit=values.slew_limit,
        max_multiple=values.max_multiple,
        default_lease=values.default_lease,
    )
