"""What an edit does to the answers to the same observations: protocol P1.

An effect is the edited answer minus the plain one to the same observation from the same noise seed,
as a mean over the chunk, in the units of the actions. What an action's numbers do is known in
LIBERO only (a translation, a rotation and the gripper); elsewhere each is an effect of its own.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.errors import RecordingError, complaint
from vla_sae_ros.sim.environment import LIBERO
from vla_sae_ros.study.experiment.measure.effects import Effect
from vla_sae_ros.study.experiment.records.files import Responses

Floats = npt.NDArray[np.float64]

ACTION = Effect(
    "action change",
    "action units",
    "mean ||da|| of an action of the chunk",
    "acts otherwise",
    "",
    signed=False,
)
UPWARD = Effect(
    "upward command", "action units", "change of the vertical command, + is up", "higher", "lower"
)
FORWARD = Effect(
    "forward command", "action units", "change of the command along x", "forward", "back"
)
LEFT = Effect("left command", "action units", "change of the command along y", "left", "right")
COMMANDED_SPEED = Effect(
    "commanded speed",
    "action units",
    "change of the length of the translation command",
    "faster",
    "slower",
)
GRIPPER = Effect(
    "gripper command", "action units", "change of the gripper command, + closes", "closes", "opens"
)

OPEN_LOOP_EFFECTS = (ACTION, UPWARD, FORWARD, LEFT, COMMANDED_SPEED, GRIPPER)
"""In LIBERO."""


def number_effect(number: int) -> Effect:
    """Return the effect on one number of an action, counted from 0."""
    return Effect(
        f"action {number}",
        "action units",
        f"change of number {number} of the action",
        "more",
        "less",
    )


def open_loop_effects(
    plain: Responses, edited: Responses, env: str = LIBERO
) -> dict[Effect, Floats]:
    """Return each effect, (episodes,): the mean over an episode's observations.

    Observations of one episode are alike, so the episode is the pair. Episodes are in ascending
    order of their number. `env` is the study's.

    Raises:
        RecordingError: the two did not answer the same observations.
    """
    same = (
        np.array_equal(plain.observation, edited.observation)
        and plain.actions.shape == edited.actions.shape
    )
    if not same:
        raise _unlike("observations", f"{len(edited.observation)} of its own")
    before, after = plain.actions.astype(np.float64), edited.actions.astype(np.float64)
    change = after - before
    per_observation = {ACTION: np.linalg.norm(change, axis=2).mean(axis=1)}
    if env == LIBERO:
        faster = np.linalg.norm(after[..., :3], axis=2) - np.linalg.norm(before[..., :3], axis=2)
        per_observation |= {
            UPWARD: change[..., 2].mean(axis=1),
            FORWARD: change[..., 0].mean(axis=1),
            LEFT: change[..., 1].mean(axis=1),
            COMMANDED_SPEED: faster.mean(axis=1),
            GRIPPER: change[..., -1].mean(axis=1),
        }
    else:
        for number in range(change.shape[-1]):
            per_observation[number_effect(number)] = change[..., number].mean(axis=1)
    _, episode, count = np.unique(plain.episode, return_inverse=True, return_counts=True)
    return {one: np.bincount(episode, values) / count for one, values in per_observation.items()}


def refuse_other_noise(plain: Responses, edited: Responses) -> None:
    """Raise RecordingError when the two did not answer from the same noise seeds."""
    if not np.array_equal(plain.noise_seed, edited.noise_seed):
        raise _unlike("noise seeds", str(sorted(set(edited.noise_seed.tolist()))))


def _unlike(what: str, got: str) -> RecordingError:
    return RecordingError(
        complaint(
            f"{what} of an arm in open loop",
            got,
            "those of the plain policy",
            "Delete the study's open-loop files and run it again.",
        )
    )
