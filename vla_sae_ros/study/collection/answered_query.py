"""What a policy of another process answers an episode that is collected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Activations = Mapping[str, tuple[np.ndarray, float]]
"""Site -> (activations (d,) or (tokens, d) float32, mean ||x||) of one inference."""


@dataclass(frozen=True)
class AnsweredQuery:
    """What the policy says to a `PolicyQuery`: the chunk (H, A), and what its probes read."""

    actions: np.ndarray
    activations: Activations
