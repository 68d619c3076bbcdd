"""P4: where steering acts, by random directions of equal relative strength at every layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.study.experiment.measure.bootstrap import mean_interval
from vla_sae_ros.study.experiment.measure.effects import DISPLACEMENT
from vla_sae_ros.study.experiment.measure.measured import MeasuredArm


@dataclass(frozen=True)
class Layer:
    """One site at one strength.

    directions, runs, solved: how many directions, their rollouts, and those that succeeded.
    displacement, low, high: mean displacement of the hand and its 95 % interval over pairs [m].
    edit_ratio: mean ||dx|| / ||x||. exact: every action of every run is the plain one, to the bit.
    arm: key of its first direction's arm.
    """

    site: str
    strength: float
    directions: int
    runs: int
    solved: int
    displacement: float
    low: float
    high: float
    edit_ratio: float
    exact: bool
    arm: str


def layer_sweep(arms: Sequence[MeasuredArm]) -> list[Layer]:
    """Return every site and strength of P4, in the study's order.

    The mean over directions is taken per pair; the interval is over pairs.
    """
    groups: dict[tuple[str, float], list[MeasuredArm]] = defaultdict(list)
    for arm in arms:
        if arm.row.protocol == "P4":
            groups[arm.row.site, arm.row.strength].append(arm)
    return [_layer(group) for group in groups.values()]


def _layer(group: Sequence[MeasuredArm]) -> Layer:
    index = group[0].effects.index(DISPLACEMENT)
    pairs = list(dict.fromkeys(pair for arm in group for pair in arm.pairs))
    values = np.array([arm.aligned(pairs)[:, index] for arm in group])
    counted = np.isfinite(values).sum(axis=0)
    per_pair = np.nansum(values, axis=0) / np.maximum(counted, 1)
    found = mean_interval(per_pair[:, None])
    rows = [row for arm in group for row in arm.rows]
    return Layer(
        rows[0].site,
        rows[0].strength,
        len(group),
        len(rows),
        sum(row.success for row in rows),
        float(found.mean[0]),
        float(found.low[0]),
        float(found.high[0]),
        float(np.mean([row.edit_ratio for row in rows])),
        all(arm.identical == len(arm.rows) for arm in group),
        group[0].key,
    )
