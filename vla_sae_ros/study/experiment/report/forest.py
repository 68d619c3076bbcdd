"""Rows of intervals on one axis: what a template needs to draw a forest plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vla_sae_ros.study.experiment.measure.effects import Effect
from vla_sae_ros.study.experiment.measure.findings import ArmEffects, EffectEstimate
from vla_sae_ros.study.experiment.records.table import Row
from vla_sae_ros.study.experiment.report.axis import Axis
from vla_sae_ros.study.experiment.report.wording import (
    Scale,
    say_arm,
    say_feature,
    say_interval,
    say_p,
    say_strength,
)


@dataclass(frozen=True)
class Mark:
    """One interval, in percent of the axis; band is that of the random rows, None without any."""

    name: str
    detail: str
    text: str
    title: str
    kind: str
    arm: str
    middle: float
    low: float
    width: float
    band: tuple[float, float] | None = None


@dataclass(frozen=True)
class Forest:
    """One effect of all arms of a protocol.

    counting: features for which it counts. zero and ticks: percent of the axis.
    """

    key: str
    name: str
    meaning: str
    unit: str
    more: str
    less: str
    counting: int
    zero: float
    ticks: tuple[tuple[float, str], ...]
    groups: tuple[tuple[str, tuple[Mark, ...]], ...]


def forest(key: str, effect: Effect, arms: Sequence[ArmEffects]) -> Forest | None:
    """Return the forest of one effect, features first; None where no arm has it."""
    pairs = [(one, found) for one in arms if (found := one.of(effect.name)) is not None]
    pairs.sort(key=lambda pair: (pair[0].arm.row.arm != "feature", not pair[0].arm.row.mode))
    if not pairs:
        return None
    ends = [end for _, one in pairs for end in (one.low, one.high, one.mean)]
    bars = [one.bar.height for _, one in pairs if one.bar.rows]
    axis = Axis.over([*ends, *bars, *([-bar for bar in bars] if effect.signed else [])])
    scale = Scale.of(effect)
    groups: dict[str, list[Mark]] = {}
    for one, found in pairs:
        groups.setdefault(_group(one.arm.row), []).append(_mark(one, found, axis))
    return Forest(
        key,
        effect.name,
        effect.meaning,
        scale.unit,
        effect.more,
        effect.less,
        len(
            {
                (one.arm.row.site, one.arm.row.features)
                for one, found in pairs
                if found.counts and one.arm.row.arm == "feature"
            }
        ),
        100 * axis.share(0.0),
        tuple((100 * axis.share(tick), scale.tick(tick)) for tick in axis.ticks),
        tuple((name, tuple(marks)) for name, marks in groups.items()),
    )


def _group(row: Row) -> str:
    if not row.mode:
        return "other arms"
    if row.arm == "feature":
        return f"{say_feature(row)}  {row.label}"
    what = say_feature(row) if row.features else row.site
    return f"{row.arm.replace('_', ' ')} {what}"


def _mark(one: ArmEffects, found: EffectEstimate, axis: Axis) -> Mark:
    row, effect = one.arm.row, found.effect
    band = None
    if found.bar.rows and math.isfinite(found.bar.height):
        low = axis.share(-found.bar.height) if effect.signed else axis.share(0.0)
        band = 100 * low, 100 * (axis.share(found.bar.height) - low)
    own = row.arm == "feature"
    low = 100 * axis.share(found.low)
    return Mark(
        f"{row.mode.replace('_', ' ')} {say_strength(row)}" if row.mode else say_arm(row),
        "",
        say_interval(found),
        say_title(found),
        say_kind(found) if own else "other",
        one.arm.key,
        100 * axis.share(found.mean),
        low,
        100 * axis.share(found.high) - low,
        band,
    )


def say_kind(found: EffectEstimate) -> str:
    """Return how an estimate is drawn."""
    return "counts" if found.counts else "significant" if found.significant else "nothing"


def say_title(found: EffectEstimate) -> str:
    """Return everything about an estimate in one line."""
    scale = Scale.of(found.effect)
    bar = "no random rows at this dose"
    if found.bar.rows:
        bar = (
            f"bar of {found.bar.rows} random rows {scale.say(found.bar.height, False)} "
            f"{scale.unit} (a random row passes with a chance of {found.bar.chance:.0%})"
        )
    return (
        f"{found.effect.name} {say_interval(found)}, {found.pairs} pairs, {say_p(found.p)}, "
        f"after Holm {say_p(found.p_holm)}; {bar}"
    )
