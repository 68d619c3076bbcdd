"""A whole study analysed: what the report shows and what is written beside it as numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.core.whole_file import write_whole
from vla_sae_ros.study.experiment.measure.effects import EFFECTS
from vla_sae_ros.study.experiment.measure.findings import ArmEffects, EffectEstimate, find
from vla_sae_ros.study.experiment.measure.layer_sweep import Layer, layer_sweep
from vla_sae_ros.study.experiment.measure.live_latency import ArmLatency, latencies
from vla_sae_ros.study.experiment.measure.measured import MeasuredArm, Progress, measure
from vla_sae_ros.study.experiment.measure.open_loop_effects import OPEN_LOOP_EFFECTS
from vla_sae_ros.study.experiment.measure.verdicts import FeatureVerdict, verdicts
from vla_sae_ros.study.experiment.records.table import Row, read_table


@dataclass(frozen=True)
class Analysis:
    """Everything that is made of a study's table and files.

    closed, opened: the verdicts of P2 and of P1, features in the study's order. layers, latencies:
    of P4 and P5, empty where they were not run.
    """

    folder: Path
    rows: tuple[Row, ...]
    arms: tuple[MeasuredArm, ...]
    found: tuple[ArmEffects, ...]
    closed: tuple[FeatureVerdict, ...]
    opened: tuple[FeatureVerdict, ...]
    layers: tuple[Layer, ...]
    latencies: tuple[ArmLatency, ...]

    @property
    def zero(self) -> tuple[int, int]:
        """Runs with hooks at zero: how many are the plain ones to the bit, and of how many."""
        arms = [arm for arm in self.arms if arm.row.arm == "zero"]
        return sum(arm.identical for arm in arms), sum(len(arm.rows) for arm in arms)

    @property
    def lost(self) -> int:
        """Runs without a plain twin: they cannot be compared with anything."""
        return sum(arm.lost for arm in self.arms)


def analyse(folder: Path, seed: int = 0, progress: Progress = lambda done, total: None) -> Analysis:
    """Analyse a study's folder, as far as it has been run.

    Raises:
        RecordingError: no table, an empty one, or a damaged table or file.
    """
    rows = read_table(folder)
    if not rows:
        raise RecordingError(
            f"The table in {folder} is empty: no run has finished. Continue with vla-sae evaluate."
        )
    arms = measure(folder, rows, progress)
    found = find(arms, seed)
    return Analysis(
        folder,
        tuple(rows),
        tuple(arms),
        tuple(found),
        tuple(verdicts(found, "P2")),
        tuple(verdicts(found, "P1")),
        tuple(layer_sweep(arms)),
        tuple(latencies(folder, rows)),
    )


def write_numbers(path: Path, analysis: Analysis) -> None:
    """Write every finding and verdict as JSON; what is unknown is null."""
    content = {
        "findings": [_finding(one, each) for one in analysis.found for each in one.estimates],
        "verdicts": [
            _verdict(protocol, one)
            for protocol, group in (("P2", analysis.closed), ("P1", analysis.opened))
            for one in group
        ],
        "layers": [asdict(one) for one in analysis.layers],
        "latencies": [asdict(one) for one in analysis.latencies],
        "identical_at_zero": analysis.zero,
        "runs_without_a_plain_twin": analysis.lost,
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (text + "\n").encode())


def _finding(one: ArmEffects, each: EffectEstimate) -> dict[str, Any]:
    row = one.arm.row
    numbers = {
        "mean": each.mean,
        "low": each.low,
        "high": each.high,
        "p": each.p,
        "p_holm": each.p_holm,
        "random_bar": each.bar.height,
        "random_bar_chance": each.bar.chance,
        "gaussian_bar": each.gaussian.height,
    }
    return {
        "protocol": row.protocol,
        "arm": row.arm_name,
        "effect": each.effect.name,
        "unit": each.effect.unit,
        **{name: _known(value) for name, value in numbers.items()},
        "pairs": each.pairs,
        "random_rows": each.bar.rows,
        "significant": each.significant,
        "counts": each.counts,
        "runs": [run.run_id for run in one.arm.rows],
    }


def _verdict(protocol: str, one: FeatureVerdict) -> dict[str, Any]:
    row = one.doses[0].arm.row
    return {
        "protocol": protocol,
        "site": row.site,
        "features": row.features,
        "label": row.label,
        "mode": row.mode,
        "unit": row.unit,
        "outcome": one.outcome,
        "name_outcome": one.name_outcome,
        "causal_for": {effect: dose.arm.row.arm_name for effect, dose in one.counting.items()},
        "trends": {
            name: {"rho": _known(each.rho), "p": _known(each.p), "pairs": each.pairs}
            for name, each in one.trends.items()
        },
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def main_effects(verdict: FeatureVerdict) -> Sequence[tuple[str, ArmEffects, EffectEstimate]]:
    """Return what a feature is causal for, without costs.

    What its name predicts comes first, then the effect farthest beyond its bar; those on one
    object's distance come last.
    """
    predicted = verdict.predicted
    named = {predicted.effect, predicted.answer} if predicted else set()
    known = [
        (name, dose, found)
        for name, dose in verdict.counting.items()
        if (found := dose.of(name)) is not None and not found.effect.cost
    ]
    return sorted(
        known,
        key=lambda one: (
            one[0] not in named,
            one[2].effect not in (*EFFECTS, *OPEN_LOOP_EFFECTS),
            -abs(one[2].mean) / max(one[2].bar.height, 1e-9),
        ),
    )
