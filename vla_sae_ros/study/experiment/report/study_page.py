"""The report of a study: one page that opens without a network."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from vla_sae_ros.study.experiment.measure.analysis import Analysis, main_effects
from vla_sae_ros.study.experiment.measure.effects import EFFECTS, Effect
from vla_sae_ros.study.experiment.measure.findings import ArmEffects
from vla_sae_ros.study.experiment.measure.measured import MeasuredArm, arm_key
from vla_sae_ros.study.experiment.measure.open_loop_effects import OPEN_LOOP_EFFECTS
from vla_sae_ros.study.experiment.measure.verdicts import FeatureVerdict
from vla_sae_ros.study.experiment.records.table import STUDY_FILE
from vla_sae_ros.study.experiment.report.axis import Axis
from vla_sae_ros.study.experiment.report.carry_over import CarryOver, carry_over
from vla_sae_ros.study.experiment.report.dose_curve import dose_curve
from vla_sae_ros.study.experiment.report.forest import Forest, forest
from vla_sae_ros.study.experiment.report.layer_marks import layer_marks
from vla_sae_ros.study.experiment.report.necessity import necessity
from vla_sae_ros.study.experiment.report.paths import page_paths
from vla_sae_ros.study.experiment.report.runs import page_runs
from vla_sae_ros.study.experiment.report.verdict_rows import verdict_row
from vla_sae_ros.study.experiment.report.videos import page_films
from vla_sae_ros.study.experiment.report.wording import Scale, say_dose, say_feature, say_p
from vla_sae_ros.study.pages.template import write_template_page

_WITH_PATHS = ("feature", "random_alive", "mean_difference", "prompt", "injection", "noise")
"""Arms whose paths can be chosen."""
MOST_PATHS = 1500
"""Rollouts whose paths are on the page, about 0.6 kB each."""


@dataclass(frozen=True)
class Curve:
    """One feature's dose-response. counts: at any dose."""

    name: str
    label: str
    trend: str
    svg: Markup
    counts: bool


@dataclass(frozen=True)
class Block:
    """Everything about one effect in one protocol."""

    key: str
    title: str
    protocol: str
    effect: Effect
    unit: str
    forest: Forest | None
    curves: tuple[Curve, ...]


def write_study_page(path: Path, analysis: Analysis, most_megabytes: float) -> None:
    """Write the page; `most_megabytes` bounds its videos."""
    rows = analysis.rows
    steered = [
        arm for arm in analysis.arms if arm.row.protocol == "P2" and arm.row.arm in _WITH_PATHS
    ]
    shown = _best_first(analysis, steered)
    write_template_page(
        path,
        "study.html",
        study=rows[0].study,
        policy=sorted({row.policy_id for row in rows}),
        bundles=sorted({row.bundle_id for row in rows} - {""}),
        software=sorted({row.software for row in rows}),
        counts=_counts(analysis),
        analysis=analysis,
        tables=[
            (name, [verdict_row(one, protocol) for one in group])
            for name, protocol, group in (
                ("Closed loop: rollouts against their plain twins", "P2", analysis.closed),
                ("Open loop: answers to the same observations", "P1", analysis.opened),
            )
            if group
        ],
        blocks=_blocks(analysis),
        places=_places(analysis.closed),
        necessity=necessity(rows, analysis.found),
        layers=layer_marks(analysis.layers),
        bars=_bar_rules(analysis.found),
        films=page_films(analysis.folder, shown, most_megabytes),
        settings_file=_settings_file(analysis.folder),
        paths=page_paths(analysis.folder, shown, MOST_PATHS),
        runs=page_runs(rows, analysis.arms),
        arm_order=list(dict.fromkeys(map(arm_key, rows))),
        plotly=Markup(get_plotlyjs()),
    )


def _best_first(analysis: Analysis, arms: Sequence[MeasuredArm]) -> list[MeasuredArm]:
    """Put the arm in front that shows the first causal feature's main effect most."""
    causal = [one for one in analysis.closed if one.outcome == "causal"]
    if not causal:
        return list(arms)
    best = max(causal[0].doses, key=lambda dose: dose.arm.row.strength).arm
    return sorted(arms, key=lambda arm: arm is not best)


@dataclass(frozen=True)
class Counts:
    """What the head of the page counts."""

    runs: int
    rollouts: int
    pairs: int
    tasks: int
    suites: int
    features: int
    hours: float
    workers: int
    repeated: int
    capped: int
    arms: tuple[tuple[str, str, int], ...]


def _counts(analysis: Analysis) -> Counts:
    once = {row.run_id: row for row in analysis.rows}
    rollouts = [row for row in once.values() if row.kind == "rollout"]
    return Counts(
        len(once),
        len(rollouts),
        len({row.pair for row in rollouts}),
        len({(row.suite, row.task) for row in rollouts}),
        len({row.suite for row in rollouts}),
        len(
            {
                (one.doses[0].arm.row.site, one.doses[0].arm.row.features)
                for one in (*analysis.closed, *analysis.opened)
            }
        ),
        sum(row.seconds for row in once.values()) / 3600,
        len({row.worker for row in once.values()}),
        sum(row.attempt > 1 for row in once.values()),
        sum(row.capped_share > 0 for row in once.values()),
        tuple(
            (protocol, arm, count)
            for (protocol, arm), count in Counter(
                (row.protocol, row.arm) for row in analysis.rows
            ).items()
        ),
    )


def _blocks(analysis: Analysis) -> list[Block]:
    """Return every effect of both loops: first what most names predict, then what most do."""
    blocks = []
    predicted = Counter(one.predicted.effect for one in analysis.closed if one.predicted)
    for protocol, group, name in (
        ("P2", analysis.closed, "closed loop"),
        ("P1", analysis.opened, "open loop"),
    ):
        arms = [
            one
            for one in analysis.found
            if one.arm.row.protocol == protocol and one.arm.row.arm != "zero"
        ]
        effects = list(dict.fromkeys(each.effect for one in arms for each in one.estimates))
        for effect in effects:
            key = f"{protocol}-{effects.index(effect)}"
            drawn = forest(key, effect, arms) if protocol == "P2" or not analysis.closed else None
            curves = _curves(group, effect)
            if drawn or curves:
                blocks.append(
                    Block(
                        key,
                        f"{name}: {effect.name}",
                        protocol,
                        effect,
                        Scale.of(effect).unit,
                        drawn,
                        curves,
                    )
                )
    return sorted(
        blocks,
        key=lambda one: (
            one.protocol != "P2",
            one.effect not in (*EFFECTS, *OPEN_LOOP_EFFECTS),
            one.effect.cost,
            -predicted[one.effect.name],
            not one.effect.signed,
            -(one.forest.counting if one.forest else 0),
        ),
    )


def _curves(group: Sequence[FeatureVerdict], effect: Effect) -> tuple[Curve, ...]:
    known = [
        found for one in group for dose in one.doses if (found := dose.of(effect.name)) is not None
    ]
    bars = [found.bar.height for found in known if found.bar.rows]
    axis = Axis.over(
        [
            *(end for found in known for end in (found.low, found.high)),
            *bars,
            *([-bar for bar in bars] if effect.signed else []),
        ],
        ticks=4,
    )
    curves = []
    for one in group:
        row = one.doses[0].arm.row
        drawn = dose_curve(one.doses, effect.name, axis, row.mode == "add")
        if drawn is None:
            continue
        trend = one.trends[effect.name]
        said = "no trend test"
        if math.isfinite(trend.p):
            said = f"\u03c1 = {trend.rho:+.2f}, {say_p(trend.p)}"
        curves.append(Curve(say_feature(row), row.label, said, drawn, effect.name in one.counting))
    return tuple(curves)


def _places(group: Sequence[FeatureVerdict]) -> list[CarryOver]:
    """Return the strongest effect of each causal feature, place by place."""
    found = []
    for one in group:
        effects = main_effects(one)
        if effects:
            name, dose, _ = effects[0]
            row = dose.arm.row
            title = f"{say_feature(row)} {row.label}: {name}, {say_dose(row)}"
            found.append(carry_over(title, dose.arm, name))
    return [one for one in found if one is not None]


def _bar_rules(found: Sequence[ArmEffects]) -> list[tuple[int, float, int]]:
    """Return (random rows, chance of a further one to pass, arms) as often as they occur."""
    rules = Counter(
        (one.estimates[0].bar.rows, one.estimates[0].bar.chance)
        for one in found
        if one.arm.row.arm == "feature" and one.estimates
    )
    return [(rows, chance, count) for (rows, chance), count in sorted(rules.items())]


def _settings_file(folder: Path) -> str:
    """Return the study file as it was run, where the folder keeps it."""
    path = folder / STUDY_FILE
    return path.read_text("utf-8") if path.is_file() else ""
