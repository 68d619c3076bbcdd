"""Variables of the instruction's object and goal, and the phases of moving one to the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.activations.format import StepRecord
from vla_sae_ros.study.features.state_variable import StateVariable, indicator
from vla_sae_ros.study.features.task_objects import TaskObjects, task_objects

OPEN = 0.07
"""[m] from which on a LIBERO gripper (at most 0.08) counts as open."""

NEAR = 0.05
"""[m] between hand and object centre below which they may touch."""

LIFTED = 0.02
"""[m] over its first height from which on an object is lifted."""

OVER_GOAL = 0.10
"""[m] of horizontal distance within which an object is over its goal."""


@dataclass(frozen=True)
class _Scene:
    """Arrays over n steps [m], NaN where unknown: positions (n, 3), lifted and nearest (n,)."""

    target: np.ndarray
    goal: np.ndarray
    lifted: np.ndarray
    nearest: np.ndarray


def task_variables(
    steps: Sequence[StepRecord], episode: np.ndarray, position: np.ndarray, opening: np.ndarray
) -> list[StateVariable]:
    """Return the variables of the objects that the instruction names (see `task_objects`).

    - distance to the target and to the goal [m], from the hand,
    - target height [m], over its height at the episode's first inference,
    - near contact: the nearest object is within `NEAR` and the gripper is not open,
    - phase reach: target not lifted, nothing near contact,
    - phase grasp: target not lifted, near contact,
    - phase carry: target lifted by `LIFTED` and not over the goal,
    - phase place: target within `OVER_GOAL` of the goal, horizontally,
    - object <name>: 1 where it is the target, when there are several.

    Args:
        steps: n of them; those without object positions or a known target are NaN.
        episode: (n,) tells their episodes apart.
        position: (n, 3) of the hand [m]. opening: (n,) of the gripper [m].
    """
    named = [task_objects(one.instruction, one.object_positions) for one in steps]
    scene = _scene(steps, episode, position, named)
    to_target = np.linalg.norm(scene.target - position, axis=1)
    to_goal = np.linalg.norm(scene.goal - position, axis=1)
    touching = (scene.nearest < NEAR) & (opening < OPEN)
    return [
        StateVariable("distance to the target", "m", to_target, "far from target", "near target"),
        StateVariable("distance to the goal", "m", to_goal, "far from goal", "near goal"),
        StateVariable("target height", "m", scene.lifted, "target lifted", "target down"),
        indicator("near contact", touching, np.isfinite(scene.nearest + opening), "near contact"),
        *_phases(scene, touching),
        *_targets(named),
    ]


def _scene(
    steps: Sequence[StepRecord],
    episode: np.ndarray,
    position: np.ndarray,
    named: Sequence[TaskObjects],
) -> _Scene:
    unknown = (np.nan,) * 3
    pairs = list(zip(steps, named, strict=True))
    target, goal = (
        np.array(
            [one.object_positions.get(getattr(names, which), unknown) for one, names in pairs],
            np.float64,
        ).reshape(-1, 3)
        for which in ("target", "goal")
    )
    nearest = np.full(len(steps), np.nan)
    for number, one in enumerate(steps):
        if one.object_positions:
            objects = np.array(list(one.object_positions.values()))
            nearest[number] = np.linalg.norm(objects - position[number], axis=1).min()
    # The first row of each step's episode: episodes are contiguous.
    first = np.searchsorted(episode, episode)
    return _Scene(target, goal, target[:, 2] - target[first, 2], nearest)


def _phases(scene: _Scene, touching: np.ndarray) -> list[StateVariable]:
    known = np.isfinite(scene.lifted + scene.nearest)
    up = scene.lifted > LIFTED
    # Without a goal nothing is over it.
    over = np.linalg.norm(scene.target[:, :2] - scene.goal[:, :2], axis=1) < OVER_GOAL
    phases = {
        "reach": ~up & ~over & ~touching,
        "grasp": ~up & ~over & touching,
        "carry": up & ~over,
        "place": over,
    }
    return [indicator(f"phase {name}", on, known, f"phase: {name}") for name, on in phases.items()]


def _targets(named: Sequence[TaskObjects]) -> list[StateVariable]:
    targets = np.array([one.target for one in named])
    names = sorted(set(targets.tolist()) - {""})
    if len(names) < 2:
        return []
    return [
        indicator(f"object {name}", targets == name, targets != "", f"object: {name}")
        for name in names
    ]
