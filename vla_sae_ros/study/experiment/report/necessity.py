"""The page's section on necessity (P3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from vla_sae_ros.study.experiment.measure.effects import SUCCESS
from vla_sae_ros.study.experiment.measure.findings import ArmEffects
from vla_sae_ros.study.experiment.measure.measured import arm_key
from vla_sae_ros.study.experiment.records.table import Row
from vla_sae_ros.study.experiment.report.forest import Mark, say_title
from vla_sae_ros.study.experiment.report.wording import Scale, say_arm, say_p
from vla_sae_ros.study.rollouts.outcomes import wilson_interval


def necessity(rows: Sequence[Row], found: Sequence[ArmEffects]) -> list[Mark]:
    """Return the success rate of each arm of P3 with its Wilson interval, 0 to 100 %."""
    by_arm: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.protocol == "P3":
            by_arm[arm_key(row)].append(row)
    against = {one.arm.key: one.of(SUCCESS.name) for one in found if one.arm.row.protocol == "P3"}
    marks = []
    for name, group in by_arm.items():
        solved = sum(row.success for row in group)
        low, high = wilson_interval(solved, len(group))
        change = against.get(name)
        detail = f"{solved} of {len(group)}"
        if change is not None:
            detail += (
                f"; against plain {Scale.of(SUCCESS).say(change.mean)} points, "
                f"McNemar {say_p(change.p_holm)} after Holm"
            )
        kind = "plain" if group[0].arm == "none" else "ablation"
        features = f" ({', '.join(map(str, group[0].features))})" if group[0].features else ""
        marks.append(
            Mark(
                say_arm(group[0]) + features,
                detail,
                f"{solved / len(group):.0%}",
                say_title(change) if change is not None else detail,
                kind,
                name,
                100 * solved / len(group),
                100 * low,
                100 * (high - low),
            )
        )
    return marks
