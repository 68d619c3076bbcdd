"""Watching one episode: the newest score, its threshold, and whether there was an alarm."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.monitors.monitor import Calibrated
from vla_sae_ros.monitors.sample import Sample


@dataclass(frozen=True)
class Verdict:
    """What one score says after an inference.

    score: averaged over its window; NaN where it is not known. distance: of the score from the
    band's centre, in its scale. above: the score is above the threshold now. alarm: it is, or was
    before in this episode; alarm_step: when first, -1 without.
    """

    step: int
    score: float
    threshold: float
    distance: float
    above: bool
    alarm: bool
    alarm_step: int


class Watch:
    """One score over one episode at a time; calibration, `monitor score` and the node use it.

    Args:
        calibrated: the score with its band.
        control_rate: [Hz] of the steps.
    """

    def __init__(self, calibrated: Calibrated, control_rate: float) -> None:
        self._calibrated = calibrated
        self._window = calibrated.window * control_rate  # in control steps
        self.begin()

    def begin(self) -> None:
        """Forget everything: another episode begins."""
        self._kept: deque[tuple[int, float]] = deque()
        self._alarm_step = -1

    def feed(self, sample: Sample) -> Verdict:
        """Take the next inference of the episode; a step that is repeated counts again."""
        score = self._averaged(sample.step, self._calibrated.score(sample))
        band = self._calibrated.band
        distance = band.distance(sample.step, score)
        above = distance > band.quantile  # False for NaN
        if above and self._alarm_step < 0:
            self._alarm_step = sample.step
        return Verdict(
            sample.step,
            score,
            band.threshold(sample.step),
            distance,
            above,
            self._alarm_step >= 0,
            self._alarm_step,
        )

    def _averaged(self, step: int, value: float) -> float:
        self._kept.append((step, value))
        while len(self._kept) > 1 and self._kept[0][0] <= step - self._window:
            self._kept.popleft()
        known = [each for _, each in self._kept if math.isfinite(each)]
        return float(np.mean(known)) if known else math.nan
