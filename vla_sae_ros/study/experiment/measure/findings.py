"""What each arm did, with its interval, its p and the bar it has to pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_sae_ros.study.experiment.measure.effects import SUCCESS, Effect
from vla_sae_ros.study.experiment.measure.intervals import effect_intervals
from vla_sae_ros.study.experiment.measure.measured import MeasuredArm
from vla_sae_ros.study.experiment.measure.paired_tests import holm, mcnemar, wilcoxon
from vla_sae_ros.study.experiment.measure.random_bar import RandomBar, random_bar

Floats = npt.NDArray[np.float64]

ALPHA = 0.05
"""Chance of any false positive among all tests of one effect, after Holm."""

CONTROLS = ("random_row", "gaussian")
"""Arms that set the scale; they are not tested themselves."""

BARRED = ("feature", "random_alive", "mean_difference")
"""Arms that change the residual stream along one direction: random ones can be set beside it."""


@dataclass(frozen=True)
class EffectEstimate:
    """One effect of one arm.

    mean, low, high: in the effect's unit, with the 95 % interval over pairs (`effect_intervals`).
    p: exact McNemar for success; Wilcoxon's signed ranks for the others; that of an unsigned effect
    is about how far it exceeds, pair by pair, the mean over the random rows.
    p_holm: p after Holm over all arms of the same protocol and kind (the features at all their
    doses; the three ablations of P3), for this effect. NaN where nothing could be tested.
    bar: of the random decoder rows at the same dose. gaussian: that of the Gaussian directions,
    to compare with; it decides nothing.
    """

    effect: Effect
    mean: float
    low: float
    high: float
    pairs: int
    p: float
    p_holm: float
    bar: RandomBar
    gaussian: RandomBar

    @property
    def significant(self) -> bool:
        """It is not chance."""
        return self.p_holm <= ALPHA and (self.effect.signed or self.mean > 0)

    @property
    def counts(self) -> bool:
        """It is not chance, and it is more than what random decoder rows do."""
        return self.significant and self.bar.passed(self.mean)


@dataclass(frozen=True)
class ArmEffects:
    """An arm with its estimates, one per effect that any of its pairs has."""

    arm: MeasuredArm
    estimates: tuple[EffectEstimate, ...]

    def of(self, effect: str) -> EffectEstimate | None:
        """Return the estimate of an effect by name."""
        return next((one for one in self.estimates if one.effect.name == effect), None)


def find(arms: Sequence[MeasuredArm], seed: int = 0) -> list[ArmEffects]:
    """Judge every arm that is no control; the same seed gives the same intervals."""
    judged = [arm for arm in arms if arm.row.arm not in CONTROLS]
    controls = {name: [_controls(arm, arms, name) for arm in judged] for name in CONTROLS}
    p = [_p(arm, rows) for arm, rows in zip(judged, controls["random_row"], strict=True)]
    adjusted = _adjusted(judged, p)
    found = []
    for number, arm in enumerate(judged):
        interval = effect_intervals(arm.values, arm.effects, seed)
        bars = {name: _bars(controls[name][number], len(arm.effects)) for name in CONTROLS}
        found.append(
            ArmEffects(
                arm,
                tuple(
                    EffectEstimate(
                        effect,
                        float(interval.mean[i]),
                        float(interval.low[i]),
                        float(interval.high[i]),
                        int(interval.pairs[i]),
                        float(p[number][i]),
                        float(adjusted[number][i]),
                        bars["random_row"][i],
                        bars["gaussian"][i],
                    )
                    for i, effect in enumerate(arm.effects)
                    if interval.pairs[i]
                ),
            )
        )
    return found


def _controls(arm: MeasuredArm, arms: Sequence[MeasuredArm], name: str) -> Floats:
    """Return (controls, pairs, effects) on the pairs of the arm (`table` says which belong)."""
    of = arm.row
    if of.arm not in BARRED:
        return np.empty((0, *arm.values.shape))
    fitting = [
        one
        for one in arms
        if one.row.arm == name
        and one.row.protocol == of.protocol
        and one.row.dose == of.dose
        and one.row.carrier in (-1, of.carrier)
    ]
    # A direction stands once for each carrier: a row of another carrier is another control.
    return np.array([one.aligned(arm.pairs) for one in fitting]).reshape(-1, *arm.values.shape)


def _bars(controls: Floats, effects: int) -> list[RandomBar]:
    known = np.isfinite(controls)
    count = known.sum(axis=1)
    total = np.where(known, controls, 0.0).sum(axis=1)
    means = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return [random_bar(means[:, i]) for i in range(effects)]


def _p(arm: MeasuredArm, controls: Floats) -> Floats:
    """Return (effects,) p before any correction."""
    known = np.isfinite(controls)
    count = known.sum(axis=0)
    typical = np.divide(
        np.where(known, controls, 0.0).sum(axis=0),
        count,
        out=np.full(arm.values.shape, np.nan),
        where=count > 0,
    )
    signed = np.array([effect.signed for effect in arm.effects])
    p = wilcoxon(np.where(signed, arm.values, arm.values - typical))
    for i, effect in enumerate(arm.effects):
        if effect is SUCCESS:
            change = arm.values[:, i]
            p[i] = mcnemar((change > 0).sum(), (change < 0).sum())
    return p


def _adjusted(judged: Sequence[MeasuredArm], p: Sequence[Floats]) -> list[Floats]:
    """Correct the p of each effect over its family."""
    adjusted = [each.copy() for each in p]
    families: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, arm in enumerate(judged):
        kind = "ablation" if arm.row.protocol == "P3" else arm.row.arm
        families[arm.row.protocol, kind].append(number)
    for members in families.values():
        together = np.array([p[number] for number in members])
        for i in range(together.shape[1]):
            for number, value in zip(members, holm(together[:, i]), strict=True):
                adjusted[number][i] = value
    return adjusted
