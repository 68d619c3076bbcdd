"""What the monitor node hears and publishes, as values and messages."""

from __future__ import annotations

import math

import numpy as np

from vla_sae_ros.core.errors import bounded
from vla_sae_ros.core.on_alarm import ON_ALARM
from vla_sae_ros.monitors.sample import Sample
from vla_sae_ros.monitors.scores import MEANING
from vla_sae_ros.monitors.watch import Verdict
from vla_sae_ros.msg import FeatureActivations, MonitorState

NOTHING = Verdict(-1, math.nan, math.nan, math.nan, False, False, -1)
"""Before anything was scored."""


def to_sample(message: FeatureActivations, width: int, speed: float) -> Sample:
    """Return an inference as a monitor hears it.

    width: d of the residual stream; `pooled` of another length, or not finite, is not known.
    speed: [m/s] of the hand since the inference before.
    """
    pooled = np.asarray(message.pooled, np.float64)
    known = pooled.shape == (width,) and bool(np.isfinite(pooled).all())
    return Sample(
        int(message.observation_step), float(message.fvu), pooled if known else None, speed
    )


def to_state(
    heard: FeatureActivations,
    said: Verdict,
    monitor: tuple[str, str, float],
    on_alarm: str,
    acted: bool,
    detail: str,
) -> MonitorState:
    """Return the message about one inference.

    monitor: its id, the name of the score, and the rate of false alarms.
    """
    return MonitorState(
        header=heard.header,
        episode_id=heard.episode_id,
        site=heard.site,
        inference=heard.inference,
        policy_start=heard.policy_start,
        observation_step=heard.observation_step,
        monitor_id=monitor[0],
        score_name=monitor[1],
        score=said.score,
        threshold=said.threshold,
        false_alarms=monitor[2],
        above=said.above,
        alarm=said.alarm,
        alarm_step=said.alarm_step,
        on_alarm=ON_ALARM.index(on_alarm),
        acted=acted,
        detail=bounded(detail),
    )


def alarm_words(name: str, said: Verdict, heard: FeatureActivations) -> str:
    """Return what set an alarm off: score, value, threshold, step and inference."""
    return (
        f"{name} at {heard.site} {said.score:.4g} above {said.threshold:.4g} at step {said.step}, "
        f"inference {heard.inference} ({MEANING[name]})"
    )
