"""Let a policy drive a simulation of your own: here a hand that goes where the actions push it.

    python examples/own_environment.py        # in one terminal: the bridge
    python -m vla_sae_ros.nodes.policy.policy_node --ros-args -p policy:=models/demo/policy
    vla-sae run --suite drawing --task 0      # in a third one: an episode

You see the bridge offer `run_episode`, and the episode run as one of LIBERO's would: with pictures
on observation/image/*, features on policy/features, and success when the hand has crossed the line.
Panel, steering and bags work as they do with LIBERO.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from rclpy.parameter import Parameter

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.nodes.base.running import exit_at_once, run_node
from vla_sae_ros.nodes.sim.bridge import SimBridge
from vla_sae_ros.sim.environment import (
    FloatArray,
    ImageArray,
    Layout,
    Observation,
    StepResult,
    TaskSpec,
)

TASKS = ("push the hand to the right", "push the hand to the left")
METRES = 0.01
"""By which an action of 1 moves the hand in one control step."""
LINE = 0.05  # [m] to the side


class Drawing:
    """A hand in free space; the pictures show it as a white square on grey."""

    cameras = ("agentview", "wrist")  # the names in the contract, config/contracts/libero.yaml
    control_rate_hz = 20.0

    def reset(
        self, task: TaskSpec, init_state: int, seed: int, layout: Layout = Layout()
    ) -> Observation:
        """The same arguments give the same episode to the bit: everything random is in the seed."""
        self._side = 1 - 2 * task.task_index
        self._hand = np.array([0.0, 0.0, 1.0])
        self._hand += np.random.default_rng([seed, init_state]).uniform(-0.01, 0.01, 3)
        self._gripper = 0.04
        return self._observe()

    def step(self, action: FloatArray) -> StepResult:
        self._hand = self._hand + METRES * action[:3]
        self._gripper = 0.02 - 0.02 * float(action[6])
        return StepResult(self._observe(), self._side * self._hand[1] > LINE)

    def render(self, camera: str) -> ImageArray:
        picture = np.full((256, 256, 3), 90, np.uint8)
        row, column = np.clip(128 + 800 * self._hand[:2], 8, 247).astype(int)
        picture[row - 8 : row + 8, column - 8 : column + 8] = 255
        return picture

    def object_positions(self) -> dict[str, FloatArray]:
        return {"line": np.array([0.0, self._side * LINE, 1.0])}

    def close(self) -> None:
        pass

    def _observe(self) -> Observation:
        fingers = np.array([self._gripper, -self._gripper])
        return Observation(np.zeros(7), self._hand, np.array([1.0, 0.0, 0.0, 0.0]), fingers)


def find_task(suite: str, index: int) -> TaskSpec:
    """Return a task, or say what there is: the bridge passes the words on to who asked."""
    if suite != "drawing" or not 0 <= index < len(TASKS):
        raise ConfigurationError(complaint("no such task", (suite, index), "drawing 0 or 1"))
    return TaskSpec(suite, index, f"task_{index}", TASKS[index], 60, Path(), Path())


if __name__ == "__main__":
    suite = Parameter("suite", value="drawing")  # of a goal that names none
    exit_at_once(
        run_node(
            lambda: SimBridge(lambda values: Drawing(), find_task, parameter_overrides=[suite]),
            sys.argv,
        )
    )
