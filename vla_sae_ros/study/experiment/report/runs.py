"""Every run of a study, arm by arm, for the page's dialog: no number without its rollouts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from vla_sae_ros.study.experiment.measure.effects import OTHER_OBJECT, SUCCESS
from vla_sae_ros.study.experiment.measure.measured import MeasuredArm, arm_key
from vla_sae_ros.study.experiment.records.table import Row
from vla_sae_ros.study.experiment.report.wording import Scale, say_arm

_SETTINGS = (
    "run_id",
    "study",
    "protocol",
    "arm",
    "site",
    "features",
    "label",
    "feature_class",
    "direction",
    "carrier",
    "mode",
    "unit",
    "strength",
    "window_event",
    "window_from",
    "window_to",
    "condition",
    "control",
    "policy_id",
    "bundle_id",
    "instruction",
    "software",
)


def page_runs(rows: Sequence[Row], arms: Sequence[MeasuredArm]) -> dict[str, Any]:
    """Return arm key -> what was done, and its runs with their effects.

    {"name", "settings": [[name, value], ...], "effects": ["height [mm]", ...],
    "approached": {object: count},
    "runs": [[run id, twin's id or "", pair, success, steps, ||dx||/||x||, [effects]], ...]}.
    In open loop the effects are of episodes, not of runs, and left out here.
    """
    measured = {arm.key: arm for arm in arms}
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(arm_key(row), []).append(row)
    return {key: _arm(group, measured.get(key)) for key, group in groups.items()}


def _arm(group: Sequence[Row], arm: MeasuredArm | None) -> dict[str, Any]:
    row = group[0]
    shown = _shown(arm)
    return {
        "name": say_arm(row),
        "settings": _settings(row),
        "effects": [f"{arm.effects[i].name} [{Scale.of(arm.effects[i]).unit}]" for i in shown]
        if arm
        else [],
        "approached": dict(arm.approached) if arm else {},
        "runs": list(_runs(group, arm, shown)),
    }


def _settings(row: Row) -> list[list[str]]:
    found = []
    for name in _SETTINGS[1:]:
        value = getattr(row, name)
        if name == "strength" and not row.mode:
            continue
        if value not in ("", -1, ()) and not (isinstance(value, float) and math.isnan(value)):
            said = ", ".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
            found.append([name.replace("_", " "), said])
    return found


def _shown(arm: MeasuredArm | None) -> list[int]:
    """Return the effects that are listed per run: not the outcome, which has columns of its own."""
    if arm is None or arm.row.kind != "rollout":
        return []
    known = [i for i, value in enumerate(arm.means) if math.isfinite(value)]
    return [
        i
        for i in known
        if arm.effects[i] not in (SUCCESS, OTHER_OBJECT)
        and not arm.effects[i].cost
        and not arm.effects[i].name.endswith(tuple("0123456789"))
    ]


def _runs(
    group: Iterable[Row], arm: MeasuredArm | None, shown: Sequence[int]
) -> Iterable[list[Any]]:
    at = {row.run_id: number for number, row in enumerate(arm.rows)} if arm else {}
    for row in group:
        number = at.get(row.run_id)
        twin, values = "", []
        if arm is not None and number is not None:
            twin = arm.twins[number].run_id
            values = [Scale.of(arm.effects[i]).say(float(arm.values[number, i])) for i in shown]
        yield [
            row.run_id,
            twin,
            row.pair,
            int(row.success),
            row.steps,
            round(row.edit_ratio, 3),
            values,
        ]
