"""The hand's paths of a study, small enough for a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vla_sae_ros.study.experiment.measure.measured import MeasuredArm, arm_key
from vla_sae_ros.study.experiment.records.files import TrackedPositions
from vla_sae_ros.study.experiment.records.table import Row
from vla_sae_ros.study.features.task_variables import OPEN

POINTS = 60
"""Most points of a path on the page."""


def page_paths(folder: Path, arms: Sequence[MeasuredArm], most: int) -> dict[str, Any]:
    """Return the paths of at most `most` rollouts: arms in order, each with its plain twins.

    {"runs": {run id: {"p": [x, y, z, x, ...] in mm, "closed": the points at which the gripper
    closes first, "step": control steps between points}}, "arms": arm key -> task ->
    [[run id, twin id], ...], "order": the arms' keys, "objects": task -> {name: [x, y, z] in mm at
    the first pair's start}, "left_out": rollouts for which there was no space}. The first pair of
    every task of every arm comes before anybody's second. There is no path where the environment
    does not tell where the hand is.
    """
    queue: list[tuple[int, int, str, Row, Row]] = []
    for number, arm in enumerate(arms):
        seen: dict[str, int] = {}
        for row, twin in zip(arm.rows, arm.twins, strict=True):
            task = task_name(row)
            seen[task] = seen.get(task, 0) + 1
            queue.append((seen[task], number, task, row, twin))
    queue.sort(key=lambda one: one[:2])
    runs: dict[str, Any] = {}
    shown: dict[str, dict[str, list[list[str]]]] = {}
    objects: dict[str, dict[str, list[int]]] = {}
    left_out = 0
    for _, _, task, row, twin in queue:
        missing = [one for one in (row, twin) if one.run_id not in runs]
        if len(runs) + len(missing) > most:
            left_out += 1
            continue
        rollouts = [TrackedPositions.load(folder / one.file) for one in missing]
        if any(np.isnan(rollout.ee_position).any() for rollout in rollouts):
            continue
        for one, rollout in zip(missing, rollouts, strict=True):
            runs[one.run_id] = _path(rollout)
            objects.setdefault(task, _objects(rollout))
        shown.setdefault(arm_key(row), {}).setdefault(task, []).append([row.run_id, twin.run_id])
    return {
        "runs": runs,
        "arms": shown,
        "order": list(shown),
        "objects": objects,
        "left_out": left_out,
    }


def task_name(row: Row) -> str:
    """Return what the page calls a task."""
    return f"{row.suite} {row.task}: {row.task_instruction}"


def _path(rollout: TrackedPositions) -> dict[str, Any]:
    length = len(rollout.ee_position)
    every = max(1, -(-length // POINTS))
    at = np.unique(np.append(np.arange(0, length, every), length - 1))
    closed = np.flatnonzero(rollout.gripper_opening[at] < OPEN)
    points = np.round(1000 * rollout.ee_position[at]).astype(int)
    return {"p": points.ravel().tolist(), "closed": closed[:1].tolist(), "step": every}


def _objects(rollout: TrackedPositions) -> dict[str, list[int]]:
    first = np.round(1000 * rollout.object_positions[0]).astype(int)
    return dict(zip(rollout.object_names.tolist(), first.tolist(), strict=True))
