"""The policy node's parameters."""

from __future__ import annotations

from vla_sae_ros.core.steering import SteeringLimits
from vla_sae_ros.nodes.base.parameters import Parameter, Value

_LIMITS = SteeringLimits()

PARAMETERS = (
    Parameter("policy", "", "folder of the policy: config.json, weights and processors"),
    Parameter("bundles", (), "folders of SAE bundles, one per tapped site"),
    Parameter(
        "contract", "", "contract file that maps topics to the policy's features; empty = LIBERO's"
    ),
    Parameter(
        "backend",
        "torch",
        "what computes the policy: torch, or onnx for an exported one (vla-sae export)",
        choices=("torch", "onnx"),
    ),
    Parameter("device", "cpu", "device the policy runs on, e.g. cpu or cuda:0"),
    Parameter("threads", 1, "threads the policy computes with on a CPU", minimum=1, maximum=256),
    Parameter("autostart", True, "configure and activate without being asked to"),
    Parameter(
        "frame_timeout",
        1.0,
        "longest wait for the pictures and states of a requested observation before it is reported",
        unit="s",
        minimum=0.05,
        maximum=60.0,
    ),
    Parameter(
        "cap",
        _LIMITS.cap,
        "largest ||dx|| / ||x|| per token of a site's edits",
        minimum=0.0,
        maximum=100.0,
    ),
    Parameter(
        "slew_limit",
        _LIMITS.slew_limit,
        "fastest change of an edit's value",
        unit="observed maxima / s",
        minimum=0.01,
        maximum=1e6,
    ),
    Parameter(
        "max_multiple",
        _LIMITS.max_multiple,
        "largest value of an edit that is accepted",
        unit="observed maxima",
        minimum=0.0,
        maximum=1e6,
    ),
    Parameter(
        "default_lease",
        _LIMITS.default_lease,
        "lease of a steering request that names none",
        unit="s",
        minimum=0.1,
        maximum=_LIMITS.max_lease,
    ),
    Parameter(
        "heatmap_site",
        "",
        "site of the feature that policy/feature_heatmap draws at first",
    ),
    Parameter(
        "heatmap_feature",
        -1,
        "feature that policy/feature_heatmap draws at first; -1 = none",
        minimum=-1,
        maximum=2**31 - 1,
    ),
    Parameter(
        "activations_folder",
        "",
        "folder to collect activations in; empty = none",
    ),
    Parameter("activations_sites", (), "sites whose activations are collected"),
    Parameter(
        "activations_pooling", "mean", "what is collected per inference", choices=("mean", "token")
    ),
)


def steering_limits(values: dict[str, Value]) -> SteeringLimits:
    """Return the steering limits among the node's parameters."""
    names = ("cap", "slew_limit", "max_multiple", "default_lease")
    return SteeringLimits(**{name: float(values[name]) for name in names})  # type: ignore[arg-type]
