"""State variables that features are compared with: a documented list, computed from the records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vla_sae_ros.activations.format import StepRecord
from vla_sae_ros.sim.conventions import STATE_NAMES
from vla_sae_ros.study.features.state_layout import state_layout
from vla_sae_ros.study.features.state_variable import StateVariable, indicator
from vla_sae_ros.study.features.task_variables import task_variables

_LIBERO_SUITES = "libero_"
_UNKNOWN = (np.nan,)

MOVING_FINGERS = 0.02
"""[m/s] from which on a change of the gripper's opening is an event."""


def state_variables(
    steps: Sequence[StepRecord],
    episode: np.ndarray,
    control_rate: float,
    state_names: Sequence[str] = (),
) -> list[StateVariable]:
    """Return the variables known for these steps; `episode` (n,) tells the steps' episodes apart.

    What the numbers of a state mean is said by `state_names`; without them it is known of episodes
    in LIBERO only, and a state's length says nothing.

    From the hand's position x, y, z [m] and two fingers [m], as far as they are among the names:
    - gripper opening [m], the distance between the fingers,
    - end-effector height [m], the z coordinate of its position,
    - end-effector speed and forward, leftward and vertical speed [m/s], in the frame of the
      position (of the robot's base in LIBERO), from the position at the previous inference of the
      episode,
    - gripper closing and gripper reopening, events: the opening falls or grows by more than
      `MOVING_FINGERS`,
    - distance to <object> [m], for each object in `object_positions`, and what
      `task_variables` makes of the instruction's object and goal.
    Every other number that has a name: itself, under that name.
    For any episodes:
    - episode progress, the step over the episode's last step,
    - task and instruction, 1 where it is the step's own, when there are several.
    A variable that no step has is left out.
    """
    states = _states(steps, state_names)
    layout = state_layout(state_names or STATE_NAMES)
    position, opening = layout.position(states), layout.opening(states)
    step = np.array([one.step for one in steps], np.float64)
    velocity = _rate(position, step, episode, control_rate)
    fingers = _rate(opening, step, episode, control_rate)
    found = [
        StateVariable("gripper opening", "m", opening, "gripper open", "gripper closed"),
        StateVariable(
            "end-effector height", "m", position[:, 2], "end effector high", "end effector low"
        ),
        StateVariable(
            "end-effector speed",
            "m/s",
            np.linalg.norm(velocity, axis=1),
            "moving fast",
            "moving slowly",
        ),
        StateVariable("forward speed", "m/s", velocity[:, 0], "moving forward", "moving backward"),
        StateVariable("leftward speed", "m/s", velocity[:, 1], "moving left", "moving right"),
        StateVariable("vertical speed", "m/s", velocity[:, 2], "rising", "lowering"),
        indicator(
            "gripper closing", fingers < -MOVING_FINGERS, np.isfinite(fingers), "gripper closing"
        ),
        indicator(
            "gripper reopening", fingers > MOVING_FINGERS, np.isfinite(fingers), "gripper reopening"
        ),
        *(layout.others(states) if state_names else ()),
        *_distances(steps, position),
        *task_variables(steps, episode, position, opening),
        StateVariable(
            "episode progress", "1", _progress(step, episode), "late in episode", "early in episode"
        ),
        *_identities("task", [one.task for one in steps]),
        *_identities("instruction", [one.instruction for one in steps]),
    ]
    return [one for one in found if np.isfinite(one.values).any()]


def _states(steps: Sequence[StepRecord], names: Sequence[str]) -> np.ndarray:
    """Return the states (n, d) float64, NaN where a step has none that the names are about."""
    width = len(names or STATE_NAMES)
    rows = [
        one.state
        if one.state is not None and len(one.state) == width and (names or _is_libero(one))
        else _UNKNOWN * width
        for one in steps
    ]
    return np.array(rows, np.float64).reshape(-1, width)


def _is_libero(step: StepRecord) -> bool:
    """Whether a state has LIBERO's layout: its episode says so; eight numbers alone say nothing."""
    return step.task.startswith(_LIBERO_SUITES) or bool(step.object_positions)


def _rate(
    values: np.ndarray, step: np.ndarray, episode: np.ndarray, control_rate: float
) -> np.ndarray:
    """Return the change (n, ...) per second since the previous inference; NaN at the first."""
    rate = np.full(values.shape, np.nan)
    ticks = np.diff(step)
    same = (np.diff(episode) == 0) & (ticks > 0)
    passed = ticks[same].reshape(-1, *[1] * (values.ndim - 1)) / control_rate
    rate[1:][same] = np.diff(values, axis=0)[same] / passed
    return rate


def _distances(steps: Sequence[StepRecord], position: np.ndarray) -> list[StateVariable]:
    variables = []
    for name in sorted({name for one in steps for name in one.object_positions}):
        unknown = (np.nan,) * 3
        at = np.array([one.object_positions.get(name, unknown) for one in steps], np.float64)
        distance = np.linalg.norm(at - position, axis=1)
        variables.append(
            StateVariable(f"distance to {name}", "m", distance, f"far from {name}", f"near {name}")
        )
    return variables


def _progress(step: np.ndarray, episode: np.ndarray) -> np.ndarray:
    last = np.zeros(int(episode.max(initial=-1)) + 1)
    np.maximum.at(last, episode, step)
    return step / np.maximum(last[episode], 1.0)


def _identities(kind: str, said: Sequence[str]) -> list[StateVariable]:
    texts = sorted(set(said) - {""})
    if len(texts) < 2:
        return []
    numbers = {text: number for number, text in enumerate(texts)}
    own = np.array([numbers.get(text, -1) for text in said])
    return [
        StateVariable(f'{kind} "{text}"', "1", (own == number).astype(float), f"task: {text}", "")
        for text, number in numbers.items()
    ]
