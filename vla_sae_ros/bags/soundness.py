"""Whether what a decoded message says can be, so that every reader may rely on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from vla_sae_ros.bags.storage.needed_fields import OURS

_MAX_STEP = 2**31 - 2


def fault(msgtype: str, message: Any) -> str | None:
    """Return in words why a decoded message cannot be used; None when it can."""
    check = _CHECKS.get(msgtype)
    return None if check is None else check(message)


def _episode(message: Any) -> str | None:
    if not (math.isfinite(message.control_rate) and message.control_rate >= 0):
        return f"control_rate {message.control_rate} is invalid"
    return None if 0 <= message.step <= _MAX_STEP else f"step {message.step} is invalid"


def _features(message: Any) -> str | None:
    sizes = {len(message.index), len(message.natural), len(message.applied)}
    return None if len(sizes) == 1 else "index, natural and applied have different lengths"


def _chunk(message: Any) -> str | None:
    given, wanted = len(message.actions), message.horizon * message.action_dim
    return None if given == wanted else f"the chunk has {given} numbers instead of {wanted}"


def _description(message: Any) -> str | None:
    same = len(message.names) == len(message.values)
    return None if same else "names and values have different lengths"


def _catalogue(message: Any) -> str | None:
    same = len(message.bundle_ids) in (0, len(message.sites))
    return None if same else "sites and bundle_ids have different lengths"


_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    f"{OURS}EpisodeState": _episode,
    f"{OURS}FeatureActivations": _features,
    f"{OURS}ActionChunk": _chunk,
    f"{OURS}NodeDescription": _description,
    f"{OURS}FeatureCatalogue": _catalogue,
}
