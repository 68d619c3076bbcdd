"""The page's sections on necessity (P3), layers (P4) and latency (P5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla_sae_ros.study.experiment.bootstrap import MeanInterval, mean_interval
from vla_sae_ros.study.experiment.effects import DISPLACEMENT, SUCCESS
from vla_sae_ros.study.experiment.files import Latency
from vla_sae_ros.study.experiment.findings import ArmFindings
from vla_sae_ros.study.experiment.measured import MeasuredArm, arm_key
from vla_sae_ros.study.experiment.report.axis import Axis
from vla_sae_ros.study.experiment.report.forest import Mark, say_title
from vla_sae_ros.study.experiment.report.wording import Scale, say_arm, say_p
from vla_sae_ros.study.experiment.table import Row
from vla_sae_ros.study.intervals import wilson_interval


def necessity(rows: Sequence[Row], found: Sequence[ArmFindings]) -> list[Mark]:
    """Return the success rate of each arm of P3 with its Wilson interval, 0 to 100 %."""
    by_arm: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.protocol == "P3":
            by_arm[arm_key(row)].append(row)
    against = {one.arm.key: one.of(SUCCESS.name) for one in found
               if one.arm.row.protocol == "P3"}
    marks = []
    for name, group in by_arm.items():
        solved = sum(row.success for row in group)
        low, high = wilson_interval(solved, len(group))
        change = against.get(name)
        detail = f"{solved} of {len(group)}"
        if change is not None:
            detail += f"; against plain {Scale.of(SUCCESS).say(change.mean)} points, " \
                      f"McNemar {say_p(change.p_holm)} after Holm"
        kind = "plain" if group[0].arm == "none" else "ablation"
        features = f" ({', '.join(map(str, group[0].features))})" if group[0].features else ""
        marks.append(Mark(
            say_arm(group[0]) + features, detail, f"{solved / len(group):.0%}",
            say_title(change) if change is not None else detail, kind, name,
            100 * solved / len(group), 100 * low, 100 * (high - low)))
    return marks


@dataclass(frozen=True)
class Layer:
    """A site in P4. exact: every action of every run is the plain one, to the bit."""

    mark: Mark
    directions: int
    runs: int
    exact: bool


def layers(arms: Sequence[MeasuredArm]) -> list[Layer]:
    """Return the displacement by random directions per site and strength, in the study's order.

    The mean over directions is taken per pair; the interval is over pairs.
    """
    groups: dict[tuple[str, float], list[MeasuredArm]] = defaultdict(list)
    for arm in arms:
        if arm.row.protocol == "P4":
            groups[arm.row.site, arm.row.strength].append(arm)
    several = len({strength for _, strength in groups}) > 1
    known = []
    for (site, strength), group in groups.items():
        index = group[0].effects.index(DISPLACEMENT)
        pairs = list(dict.fromkeys(pair for arm in group for pair in arm.pairs))
        values = np.array([arm.aligned(pairs)[:, index] for arm in group])
        counted = np.isfinite(values).sum(axis=0)
        per_pair = np.nansum(values, axis=0) / np.maximum(counted, 1)
        name = f"{site}, {strength:g}" if several else site
        known.append((name, group, mean_interval(per_pair[:, None])))
    if not known:
        return []
    axis = Axis.over([float(one.high[0]) for _, _, one in known])
    return [_layer(name, group, one, axis) for name, group, one in known]


def _layer(name: str, group: Sequence[MeasuredArm], found: MeanInterval, axis: Axis) -> Layer:
    mean, low, high = float(found.mean[0]), float(found.low[0]), float(found.high[0])
    scale, runs = Scale.of(DISPLACEMENT), sum(len(arm.rows) for arm in group)
    exact = all(arm.identical == len(arm.rows) for arm in group)
    ratio = np.mean([row.edit_ratio for arm in group for row in arm.rows])
    text = f"{scale.say(mean, False)} mm [{scale.say(low, False)}, {scale.say(high, False)}]"
    left = 100 * axis.share(low)
    mark = Mark(name, f"{len(group)} directions, {runs} rollouts, ‖dx‖/‖x‖ {ratio:.2f}",
                "exactly 0" if exact else text, text, "exact" if exact else "significant",
                group[0].key, 100 * axis.share(mean), left,
                100 * axis.share(high) - left)
    return Layer(mark, len(group), runs, exact)


@dataclass(frozen=True)
class LatencyLine:
    """One arm of P5, in milliseconds per inference."""

    name: str
    arm: str
    count: int
    median: float
    p99: float
    readout: float
    ratio: float | None
    restored: bool
    answers_after: int


def latencies(folder: Path, rows: Sequence[Row]) -> list[LatencyLine]:
    """Return each arm's latencies; ratio: median over that without hooks."""
    names = {"none": "hook off", "zero": "hook on", "feature": "steering"}
    measured = [(row, Latency.load(folder / row.file)) for row in rows if row.protocol == "P5"]
    base = [float(np.median(one.milliseconds)) for row, one in measured if row.arm == "none"]
    lines = []
    for row, one in measured:
        median, p99 = np.percentile(one.milliseconds, (50, 99)).tolist()
        lines.append(LatencyLine(
            names.get(row.arm, row.arm), arm_key(row), len(one.milliseconds), median, p99,
            float(np.median(one.readout_milliseconds)) if len(one.readout_milliseconds) else 0.0,
            median / base[0] if base else None, bool(one.restored), int(one.answers_after)))
    return lines
