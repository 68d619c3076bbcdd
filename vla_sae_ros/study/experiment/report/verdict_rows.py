"""One row per feature: what it is causal for, at what cost, and what became of its name."""

from __future__ import annotations

from dataclasses import dataclass

from vla_sae_ros.study.experiment.measure.analysis import Analysis, main_effects
from vla_sae_ros.study.experiment.measure.effects import SUCCESS, Effect
from vla_sae_ros.study.experiment.measure.findings import EffectEstimate
from vla_sae_ros.study.experiment.measure.predictions import Prediction
from vla_sae_ros.study.experiment.measure.verdicts import FeatureVerdict
from vla_sae_ros.study.experiment.records.table import Row
from vla_sae_ros.study.experiment.report.forest import say_title
from vla_sae_ros.study.experiment.report.wording import (
    NAME_OUTCOMES,
    OUTCOMES,
    say_feature,
    say_interval,
    say_strength,
    say_window,
)

SHOWN = 3
"""Effects that a feature's row names before "and n more"."""


@dataclass(frozen=True)
class Said:
    """A number on the page, what stands behind it, and the arm whose runs it is of."""

    text: str
    title: str
    arm: str
    note: str = ""


@dataclass(frozen=True)
class VerdictRow:
    """What the page's table of verdicts says of a feature."""

    name: str
    label: str
    feature_class: str
    change: str
    outcome: str
    symbol: str
    words: str
    causal: tuple[Said, ...]
    more: tuple[str, ...]
    cost: tuple[Said, ...]
    name_symbol: str
    name_words: str
    name_outcome: str
    predicted: str


def verdict_row(verdict: FeatureVerdict, protocol: str) -> VerdictRow:
    """Return a feature's row; `protocol` is "P1" or "P2"."""
    row = verdict.doses[0].arm.row
    symbol, words, _ = OUTCOMES[verdict.outcome]
    if verdict.missing:
        words = f"{words}: {verdict.missing}"
    name_symbol, name_words = NAME_OUTCOMES[verdict.name_outcome]
    effects = main_effects(verdict)
    causal = tuple(
        Said(
            f"{_direction(found)}: {say_interval(found)}",
            say_title(found),
            dose.arm.key,
            f"{found.effect.name}, {say_strength(dose.arm.row)}",
        )
        for _, dose, found in effects[:SHOWN]
    )
    return VerdictRow(
        say_feature(row),
        row.label,
        row.feature_class,
        _change(row),
        verdict.outcome,
        symbol,
        words,
        causal,
        tuple(name for name, _, _ in effects[SHOWN:]),
        _cost(verdict, effects[0][0] if effects else ""),
        name_symbol,
        name_words,
        verdict.name_outcome,
        _predicted(verdict.predicted, protocol),
    )


def verdict_table(analysis: Analysis) -> str:
    """Return the verdicts as lines for a terminal; of a study of several changes, which it is."""
    judged = [
        (protocol, verdict_row(each, protocol))
        for protocol, group in (("P2", analysis.closed), ("P1", analysis.opened))
        for each in group
    ]
    several = len({one.change for _, one in judged}) > 1
    lines, before = [], ""
    for protocol, one in sorted(judged, key=lambda each: each[1].change) if several else judged:
        if several and one.change != before:
            before = one.change
            lines.append(f"{before}:")
        first = one.causal[0].text + f" ({one.causal[0].note})" if one.causal else ""
        lines.append(
            f"{protocol} {one.name:<18}{one.label or '-':<24}{one.symbol} "
            f"{one.words:<17}{one.name_symbol} {one.name_words:<44}{first}".rstrip()
        )
    return "\n".join(lines)


def _change(row: Row) -> str:
    return ", ".join(filter(None, (row.mode.replace("_", " "), say_window(row))))


def _direction(found: EffectEstimate) -> str:
    effect: Effect = found.effect
    if not effect.signed:
        return effect.more
    said = effect.more if found.mean > 0 else effect.less
    if effect.name.startswith("distance to "):
        return f"{said.split()[0]} {'from' if found.mean > 0 else 'to'} {effect.name[12:]}"
    return said


def _cost(verdict: FeatureVerdict, effect: str) -> tuple[Said, ...]:
    """Return the change of success where the first effect counts, and at the strongest dose."""
    doses = {}
    if effect:
        doses[verdict.counting[effect].arm.key] = verdict.counting[effect]
    strongest = max(verdict.doses, key=lambda one: abs(one.arm.row.strength))
    doses[strongest.arm.key] = strongest
    said = []
    for name, dose in doses.items():
        found = dose.of(SUCCESS.name)
        if found is not None:
            said.append(
                Said(
                    say_interval(found).replace("%-points ", ""),
                    say_title(found),
                    name,
                    say_strength(dose.arm.row),
                )
            )
    return tuple(said)


def _predicted(predicted: Prediction | None, protocol: str) -> str:
    if predicted is None:
        return ""
    name = predicted.answer if protocol == "P1" else predicted.effect
    return f"{'more' if predicted.sign > 0 else 'less'} {name}" if name else ""
