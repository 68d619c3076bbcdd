"""What computes the policy. Imported when chosen: a robot computer may have no PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.nodes.parameters import Value
from vla_sae_ros.policy.inference import Engine

if TYPE_CHECKING:
    from vla_sae_ros.nodes.activation_collector import ActivationCollector


def make_engine(values: Mapping[str, Value]) -> Engine:
    """Return the engine that the node's parameters ask for.

    Raises:
        ConfigurationError: what is wrong with them, or with what they name.
    """
    if not values["policy"]:
        raise ConfigurationError(
            complaint(
                "no policy named", values["policy"], "a folder", "Set the parameter `policy`."
            )
        )
    from vla_sae_ros.nodes.torch_backend import make_torch_engine

    return make_torch_engine(values)


def make_collector(
    engine: Engine, values: Mapping[str, Value], control_rate: float
) -> ActivationCollector | None:
    """Return what collects activations, if the parameters ask for it."""
    if not values["activations_folder"]:
        return None
    from vla_sae_ros.nodes.torch_backend import make_torch_collector

    return make_torch_collector(engine, values, control_rate)
