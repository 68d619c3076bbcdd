"""Which features are causal, for what, at what cost, and whether they do what their name says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vla_sae_ros.study.experiment.measure.effects import SUCCESS
from vla_sae_ros.study.experiment.measure.findings import ALPHA, ArmEffects, EffectEstimate
from vla_sae_ros.study.experiment.measure.paired_tests import fewest_pairs, smallest_p
from vla_sae_ros.study.experiment.measure.predictions import Prediction, prediction
from vla_sae_ros.study.experiment.measure.trend import Trend, trend

EffectVerdict = Literal["causal", "within random", "none shown", "cannot tell"]
NameVerdict = Literal["as named", "opposite", "not shown", "not measured", "no name"]


@dataclass(frozen=True)
class FeatureVerdict:
    """A feature, steered in one way at several doses, and what is made of it.

    doses: its arms, by strength. trends: effect name -> how it follows the dose; signed effects
    over the strength with the plain rollout as one of the doses, unsigned ones over its size.
    counting: for each effect that counts at any dose, the mildest of these doses.
    outcome: "causal", an effect that is no mere cost counts; "within random", one is not chance but
    no more than random decoder rows do; "none shown"; "cannot tell", with so few pairs no effect
    could have passed, or there is no random row to compare with. missing: which of the two.
    predicted: what the label predicts. name_outcome: "as named" when that effect counts with the
    predicted sign at some dose and with the other at none; "opposite" when with the other.
    """

    doses: tuple[ArmEffects, ...]
    trends: Mapping[str, Trend]
    counting: Mapping[str, ArmEffects]
    outcome: EffectVerdict
    missing: str
    predicted: Prediction | None
    name_outcome: NameVerdict

    def cost(self, effect: str) -> EffectEstimate | None:
        """Return what happens to success at the dose at which an effect counts."""
        return self.counting[effect].of(SUCCESS.name)


def verdicts(found: Sequence[ArmEffects], protocol: str) -> list[FeatureVerdict]:
    """Judge every feature of a protocol ("P1" or "P2"), in the order of the study."""
    groups: dict[tuple, list[ArmEffects]] = defaultdict(list)
    for one in found:
        row = one.arm.row
        if row.protocol == protocol and row.arm == "feature":
            window = row.window_event, row.window_from, row.window_to, row.condition, row.control
            groups[row.site, row.features, row.mode, row.unit, window].append(one)
    family = sum(map(len, groups.values()))
    return [
        _verdict(sorted(group, key=lambda one: one.arm.row.strength), family, protocol)
        for group in groups.values()
    ]


def _verdict(doses: Sequence[ArmEffects], family: int, protocol: str) -> FeatureVerdict:
    counting: dict[str, ArmEffects] = {}
    for one in sorted(doses, key=_mildest):
        for estimate in one.estimates:
            if estimate.counts:
                counting.setdefault(estimate.effect.name, one)
    predicted = prediction(doses[0].arm.row.label)
    return FeatureVerdict(
        tuple(doses),
        _trends(doses),
        counting,
        *_outcome(doses, family),
        predicted,
        _name_outcome(doses, predicted, protocol),
    )


def _mildest(dose: ArmEffects) -> tuple[float, bool]:
    """Order doses by their size; of two as large the one that pushes up comes first."""
    return abs(dose.arm.row.strength), dose.arm.row.strength < 0


def _outcome(doses: Sequence[ArmEffects], family: int) -> tuple[EffectVerdict, str]:
    """Return the verdict, and what is missing where none can be given."""
    shown = [one for dose in doses for one in dose.estimates if not one.effect.cost]
    if any(one.counts for one in shown):
        return "causal", ""
    pairs = max((one.pairs for one in shown), default=0)
    if family * smallest_p(pairs) > ALPHA:
        return "cannot tell", f"{pairs} pairs, at least {fewest_pairs(family, ALPHA)} needed"
    if not any(one.bar.rows for one in shown):
        return "cannot tell", "no random rows"
    return ("within random" if any(one.significant for one in shown) else "none shown"), ""


def _name_outcome(
    doses: Sequence[ArmEffects], predicted: Prediction | None, protocol: str
) -> NameVerdict:
    if not doses[0].arm.row.label:
        return "no name"
    if predicted is None:
        return "not measured"
    name = predicted.answer if protocol == "P1" else predicted.effect
    signs = [
        (estimate, predicted.expected(dose.arm.row))
        for dose in doses
        if (estimate := dose.of(name)) is not None
    ]
    if not signs:
        return "not measured"
    agreements = {int(np.sign(one.mean)) * sign for one, sign in signs if one.counts and sign}
    if -1 in agreements:
        return "opposite"
    return "as named" if agreements else "not shown"


def _trends(doses: Sequence[ArmEffects]) -> dict[str, Trend]:
    arms = [one.arm for one in doses]
    pairs = arms[0].pairs
    values = np.stack([arm.aligned(pairs) for arm in arms], axis=1)
    strengths = np.array([arm.row.strength for arm in arms])
    # The strength at which an edit changes nothing; a clamp and a projection have none.
    neutral = {"add": 0.0, "scale": 1.0}.get(arms[0].row.mode)
    found = {}
    for i, effect in enumerate(arms[0].effects):
        part, at = values[:, :, i], strengths
        if effect.signed and neutral is not None and neutral not in at:
            part, at = np.column_stack([part, np.zeros(len(pairs))]), np.append(at, neutral)
        elif not effect.signed:
            at = np.abs(at - (neutral or 0.0))
            if len(np.unique(at)) < len(at):
                part, at = _folded(part, at)
        found[effect.name] = trend(part, at)
    return found


def _folded(part: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over doses of equal size (pairs, sizes), and the sizes."""
    at = np.unique(sizes)
    return np.column_stack([part[:, sizes == size].mean(axis=1) for size in at]), at
