"""Which episodes scores are fitted to, which calibrate the thresholds, and which are left."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.study.monitoring.episodes import MonitoredEpisode


@dataclass(frozen=True)
class Parts:
    """No episode is in two of them.

    fit, calibration: successful ones. failing: those that a probe may learn from. rest: of both
    kinds; `vla-sae monitor score` measures on them.
    """

    fit: tuple[MonitoredEpisode, ...]
    failing: tuple[MonitoredEpisode, ...]
    calibration: tuple[MonitoredEpisode, ...]
    rest: tuple[MonitoredEpisode, ...]

    @property
    def seen(self) -> tuple[str, ...]:
        """Return the marks of all but the rest, sorted."""
        return tuple(sorted(one.mark for one in (*self.fit, *self.failing, *self.calibration)))


def divided(
    episodes: Sequence[MonitoredEpisode], fit: float, calibration: float, seed: int
) -> Parts:
    """Draw the parts; the choice depends on the episodes' ids and the seed only.

    Args:
        episodes: those whose success nobody told are in no part.
        fit: share of the successful episodes.
        calibration: share of them; failing episodes are fitted to in the ratio of `fit` to what
            is not calibration.
        seed: of the draw.

    Raises:
        ConfigurationError: shares that cannot be, or no successful episode for one of the parts.
    """
    if not (fit > 0.0 and calibration > 0.0 and fit + calibration <= 1.0):
        got = f"{fit:g} and {calibration:g}"
        raise ConfigurationError(
            complaint("shares --fit and --calibration", got, "each above 0, together at most 1")
        )
    successes = _drawn([one for one in episodes if one.success], seed)
    failing = _drawn([one for one in episodes if one.success is False], seed)
    first = round(fit * len(successes))
    second = first + round(calibration * len(successes))
    if first < 2 or second <= first:
        raise ConfigurationError(
            complaint(
                "successful episodes",
                len(successes),
                "enough for two to fit and one to calibrate",
                "Collect more.",
            )
        )
    part = round(fit / (1.0 - calibration) * len(failing)) if calibration < 1.0 else 0
    return Parts(
        tuple(successes[:first]),
        tuple(failing[:part]),
        tuple(successes[first:second]),
        tuple(successes[second:] + failing[part:]),
    )


def _drawn(episodes: Sequence[MonitoredEpisode], seed: int) -> list[MonitoredEpisode]:
    def draw(one: MonitoredEpisode) -> bytes:
        return hashlib.sha256(f"{seed} {one.episode_id}".encode()).digest()

    return sorted(episodes, key=draw)
