"""Does an effect carry over: the same feature and dose in every task and suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.study.experiment.measure.intervals import effect_intervals
from vla_sae_ros.study.experiment.measure.measured import MeasuredArm
from vla_sae_ros.study.experiment.report.axis import Axis
from vla_sae_ros.study.experiment.report.forest import Mark
from vla_sae_ros.study.experiment.report.paths import task_name
from vla_sae_ros.study.experiment.report.wording import Scale


@dataclass(frozen=True)
class CarryOver:
    """One effect of one arm, place by place. same: places in which it has the sign of the whole
    and an interval without 0."""

    title: str
    marks: tuple[Mark, ...]
    same: int
    zero: float


def carry_over(title: str, arm: MeasuredArm, effect: str) -> CarryOver | None:
    """Return the effect per task, and per suite where there are several; None for one place."""
    number = [one.name for one in arm.effects].index(effect)
    values = arm.values[:, number]
    tasks = _places([task_name(row) for row in arm.rows])
    suites = _places([row.suite for row in arm.rows])
    places = {f"all of {name}": at for name, at in suites.items()} if len(suites) > 1 else {}
    places |= tasks
    if len(tasks) < 2:
        return None
    found = [
        (name, effect_intervals(values[at][:, None], [arm.effects[number]]))
        for name, at in places.items()
        if np.isfinite(values[at]).any()
    ]
    ends = [float(end[0]) for _, one in found for end in (one.low, one.high)]
    axis, scale = Axis.over(ends), Scale.of(arm.effects[number])
    sign = np.sign(arm.means[number])
    marks, same = [], 0
    for name, one in found:
        mean, low, high = float(one.mean[0]), float(one.low[0]), float(one.high[0])
        clear = low * high > 0 and np.sign(mean) == sign
        same += clear
        left = 100 * axis.share(low)
        text = f"{scale.say(mean)} {scale.unit} [{scale.say(low)}, {scale.say(high)}]"
        marks.append(
            Mark(
                name,
                f"{one.pairs[0]} pairs",
                text,
                text,
                "counts" if clear else "nothing",
                arm.key,
                100 * axis.share(mean),
                left,
                100 * axis.share(high) - left,
            )
        )
    return CarryOver(title, tuple(marks), same, 100 * axis.share(0.0))


def _places(names: Sequence[str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        places.setdefault(name, []).append(number)
    return places
