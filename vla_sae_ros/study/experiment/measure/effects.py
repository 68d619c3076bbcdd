"""What steering did to a rollout, against its plain twin: the effects and their signs.

A pair is two rollouts from the same task, layout, initial state and seed; an effect is steered
minus plain, so + is more of what its name says. All but success and steps are length-matched: both
rollouts are looked at over the control steps 1 to T that both have, T = min(steps). Otherwise a
rollout that lasts longer would have moved farther for that alone (the +27.7 % displacement of Haon
et al. 2025 is +15.7 % when length-matched). An edit in a window is looked at while its chunks are
executed: afterwards a steered rollout is late at everything that it does. The list is that of
protocol P2.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vla_sae_ros.study.experiment.records.files import TrackedPositions
from vla_sae_ros.study.features.task_objects import TaskObjects
from vla_sae_ros.study.features.task_variables import OPEN

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """One kind of effect.

    signed: it can go both ways and is 0 where steering does nothing; otherwise it is a distance
    from the plain rollout, which any disturbance makes positive, and only as much as exceeds
    random directions says something. cost: it says how the task went, not what the hand did.
    """

    name: str
    unit: str
    meaning: str
    more: str
    less: str
    signed: bool = True
    cost: bool = False


DISPLACEMENT = Effect(
    "displacement",
    "m",
    "mean distance between the two hands at the same control step",
    "farther from the plain path",
    "",
    signed=False,
)
HEIGHT = Effect("height", "m", "change of the hand's mean height", "higher", "lower")
FORWARD = Effect(
    "forward", "m", "change of the hand's mean x, away from the robot's base", "forward", "back"
)
LEFT = Effect("left", "m", "change of the hand's mean y, to the robot's left", "left", "right")
SPEED = Effect(
    "speed", "m/s", "change of the hand's mean speed, its path over the time", "faster", "slower"
)
RISE = Effect("rise", "m/s", "change of the hand's mean vertical speed", "rises", "sinks")
CLOSED = Effect(
    "gripper closed",
    "1",
    f"change of the share of steps with an opening below {1000 * OPEN:.0f} mm",
    "closed longer",
    "open longer",
)
TO_TARGET = Effect(
    "distance to the target",
    "m",
    "change of the hand's mean distance to the object that the instruction names first",
    "farther from it",
    "nearer to it",
)
TO_GOAL = Effect(
    "distance to the goal",
    "m",
    "the same for the object it names last",
    "farther from it",
    "nearer to it",
)
TARGET_HEIGHT = Effect(
    "target height",
    "m",
    "change of the target's mean height over its first",
    "lifted more",
    "lifted less",
)
OTHER_OBJECT = Effect(
    "another object",
    "1",
    "share of pairs in which the hand comes nearest to another object than it does without "
    "steering",
    "another object",
    "",
    signed=False,
)
SUCCESS = Effect(
    "success",
    "1",
    "change of the share of successful rollouts",
    "succeeds more",
    "succeeds less",
    cost=True,
)
STEPS = Effect(
    "steps",
    "1",
    "change of the control steps to success or to the limit",
    "takes longer",
    "is done sooner",
    cost=True,
)

EFFECTS = (
    DISPLACEMENT,
    HEIGHT,
    FORWARD,
    LEFT,
    SPEED,
    RISE,
    CLOSED,
    TO_TARGET,
    TO_GOAL,
    TARGET_HEIGHT,
    OTHER_OBJECT,
    SUCCESS,
    STEPS,
)
"""Those that every study has; a distance to each object joins them."""


def distance_to(thing: str) -> Effect:
    """Return the effect on the hand's mean distance to one object of the scene."""
    return Effect(
        f"distance to {thing}",
        "m",
        f"change of the hand's mean distance to {thing}",
        "farther from it",
        "nearer to it",
    )


@dataclass(frozen=True)
class PairEffects:
    """Effects of one pair by name; those that cannot be told, as without a target, are absent.

    approached: what the steered hand came nearest to in the common steps; "" without objects.
    """

    values: dict[str, float]
    approached: str


class Seen:
    """A rollout looked at over its first steps, several times.

    tells_hand: the environment says where the hand is.
    distances: (T, objects) from the hand to each object's centre [m], after each step.
    """

    def __init__(self, motion: TrackedPositions) -> None:
        self.motion = motion
        self.steps = len(motion.ee_position) - 1
        self.tells_hand = not np.isnan(motion.ee_position).any()
        self.names: list[str] = motion.object_names.tolist()
        away = motion.object_positions[1:] - motion.ee_position[1:, None]
        self.distances: Floats = np.sqrt(np.einsum("tnx,tnx->tn", away, away))
        moved = np.diff(motion.ee_position, axis=0)
        self.path: Floats = np.cumsum(np.sqrt(np.einsum("tx,tx->t", moved, moved)))


def pair_effects(
    plain: Seen,
    steered: Seen,
    success: tuple[bool, bool],
    named: TaskObjects,
    span: tuple[int, int] | None = None,
) -> PairEffects:
    """Compare two rollouts from the same start.

    Args:
        success: of the plain and of the steered one.
        named: target and goal of the task's own instruction.
        span: control steps (first, end) to look at, as far as both rollouts have them; None: all.
    """
    first, end = span or (0, sys.maxsize)
    end = min(end, plain.steps, steered.steps)
    before, after = (_measures(one, first, end, named) for one in (plain, steered))
    values = {name: after[name] - before[name] for name in before if name in after}
    there = slice(first + 1, end + 1)
    apart = steered.motion.ee_position[there] - plain.motion.ee_position[there]
    if first < end and plain.tells_hand:
        values[DISPLACEMENT.name] = float(np.linalg.norm(apart, axis=1).mean())
    nearest = [_nearest(one, first, end, named.goal) for one in (plain, steered)]
    if nearest[0] and nearest[1]:
        values[OTHER_OBJECT.name] = float(nearest[0] != nearest[1])
    values[SUCCESS.name] = float(success[1]) - float(success[0])
    values[STEPS.name] = float(steered.steps - plain.steps)
    return PairEffects(values, nearest[1])


def _measures(seen: Seen, first: int, end: int, named: TaskObjects) -> dict[str, float]:
    """Return what is compared as a difference, over the control steps from `first` to `end`."""
    if first >= end or not seen.tells_hand:
        return {}
    motion = seen.motion
    time = (end - first) / float(motion.control_rate)
    hand = motion.ee_position[first : end + 1]
    path = seen.path[end - 1] - (seen.path[first - 1] if first else 0.0)
    found = {
        HEIGHT.name: float(hand[1:, 2].mean()),
        FORWARD.name: float(hand[1:, 0].mean()),
        LEFT.name: float(hand[1:, 1].mean()),
        SPEED.name: float(path) / time,
        RISE.name: float(hand[-1, 2] - hand[0, 2]) / time,
        CLOSED.name: float((motion.gripper_opening[first + 1 : end + 1] < OPEN).mean()),
    }
    distances = dict(zip(seen.names, seen.distances[first:end].mean(axis=0).tolist(), strict=True))
    found |= {distance_to(name).name: value for name, value in distances.items()}
    for effect, name in ((TO_TARGET, named.target), (TO_GOAL, named.goal)):
        if name in distances:
            found[effect.name] = distances[name]
    if named.target in distances:
        lifted = motion.object_positions[first : end + 1, seen.names.index(named.target), 2]
        found[TARGET_HEIGHT.name] = float(lifted[1:].mean() - lifted[0])
    return found


def _nearest(seen: Seen, first: int, end: int, goal: str) -> str:
    """Return the object, other than the goal, that the hand comes nearest to in these steps."""
    things = [number for number, name in enumerate(seen.names) if name != goal]
    if not things or first >= end:
        return ""
    closest = seen.distances[first:end, things].min(axis=0)
    return seen.names[things[int(closest.argmin())]]
