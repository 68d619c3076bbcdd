"""The steering core with a site, directions beside it and readings, for conditions and controls."""

from __future__ import annotations

import math

import numpy as np

from vla_sae_ros.core.steering import Steering, SteeringLimits, SteeringSite

SITE, BESIDE = "backbone.0", "backbone.0.directions"
HEIGHT = ("height", "", 0)
"""Key of the reading of that name."""


def steering_by_readings(observed_max: float = 1.0, slew_limit: float = math.inf) -> Steering:
    """Return it; every one of its four features has the same observed maximum."""
    largest = np.full(4, observed_max, np.float32)
    sites = [SteeringSite(name, largest, 5.0, ("camera",)) for name in (SITE, BESIDE)]
    limits = SteeringLimits(slew_limit=slew_limit)
    return Steering(sites, limits, known_readings=("feature", "step", "height"))
