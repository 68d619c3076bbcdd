"""State variables that features are compared with: a documented list, computed from the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_sae_ros.study.activation_format import StepRecord

_LIBERO_STATE = 8


@dataclass(frozen=True)
class StateVariable:
    """One quantity over all inferences, and how to say that a feature follows it.

    values: (n,) float64, NaN where unknown. high and low: label of a feature that fires when the
    value is high or low; empty where that says nothing.
    """

    name: str
    unit: str
    values: np.ndarray
    high: str
    low: str


def state_variables(
    steps: Sequence[StepRecord], episode: np.ndarray, control_rate: float
) -> list[StateVariable]:
    """Return the variables known for these steps; `episode` (n,) tells the steps' episodes apart.

    From a state of LIBERO's layout (8: end-effector position [m], axis-angle [rad], two finger
    positions [m]):
    - gripper opening [m], the distance between the fingers,
    - end-effector height [m], the z coordinate of its position,
    - end-effector speed [m/s], from the position at the previous inference of the episode,
    - distance to <object> [m], for each object in `object_positions`.
    For any episodes:
    - episode progress, the step over the episode's last step,
    - instruction "...", 1 where it is the step's instruction, when there are several.
    A variable that no step has is left out.
    """
    position, opening = _libero_state(steps)
    step = np.array([one.step for one in steps], np.float64)
    found = [
        StateVariable("gripper opening", "m", opening, "gripper open", "gripper closed"),
        StateVariable(
            "end-effector height", "m", position[:, 2], "end effector high", "end effector low"
        ),
        StateVariable(
            "end-effector speed",
            "m/s",
            _speed(position, step, episode, control_rate),
            "moving fast",
            "moving slowly",
        ),
        *_distances(steps, position),
        StateVariable(
            "episode progress", "1", _progress(step, episode), "late in episode", "early in episode"
        ),
        *_instructions(steps),
    ]
    return [one for one in found if np.isfinite(one.values).any()]


def _libero_state(steps: Sequence[StepRecord]) -> tuple[np.ndarray, np.ndarray]:
    """Return position (n, 3) and gripper opening (n,), NaN where a state has another layout."""
    unknown = (np.nan,) * _LIBERO_STATE
    states = np.array(
        [
            one.state if one.state is not None and len(one.state) == _LIBERO_STATE else unknown
            for one in steps
        ],
        np.float64,
    ).reshape(-1, _LIBERO_STATE)
    return states[:, :3], np.abs(states[:, 6] - states[:, 7])


def _speed(
    position: np.ndarray, step: np.ndarray, episode: np.ndarray, control_rate: float
) -> np.ndarray:
    speed = np.full(len(step), np.nan)
    ticks = np.diff(step)
    same = (np.diff(episode) == 0) & (ticks > 0)
    moved = np.linalg.norm(np.diff(position, axis=0), axis=1)
    speed[1:][same] = moved[same] / ticks[same] * control_rate
    return speed


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


def _instructions(steps: Sequence[StepRecord]) -> list[StateVariable]:
    texts = sorted({one.instruction for one in steps if one.instruction})
    if len(texts) < 2:
        return []
    said = np.array([one.instruction for one in steps])
    return [
        StateVariable(
            f'instruction "{text}"', "1", (said == text).astype(float), f"task: {text}", ""
        )
        for text in texts
    ]
