"""The markers node's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from vla_sae_ros.core.parameters import parameter


@dataclass(frozen=True)
class MarkersParameters:
    """The markers node's."""

    site: str = parameter(
        "",
        "site of the feature that colours the path; empty = that of the edit set last",
        live=True,
    )
    feature: int = parameter(
        -1,
        "feature that colours the path; -1 = that of the edit set last",
        minimum=-1,
        maximum=2**31 - 1,
        live=True,
    )
    path_length: int = parameter(2000, "number of poses in the path", minimum=2, maximum=100_000)
    metres_per_action: float = parameter(
        0.012,
        "distance that the hand moves in one control tick at an action of 1; "
        "LIBERO's controller commands 0.05 and reaches about a quarter of it",
        unit="m",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
