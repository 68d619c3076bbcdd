"""An episode's trajectory, control step by control step."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from vla_sae_ros.sim.environment import FloatArray, ImageArray, Observation
from vla_sae_ros.study.experiment.design.study_parts import Window
from vla_sae_ros.study.experiment.records.files import Trajectory
from vla_sae_ros.study.experiment.run.setup import Scene
from vla_sae_ros.study.experiment.run.traces import HookTraces

FILMED_CAMERA = "agentview"


@dataclass
class Recorder:
    """Watches an episode; `events` are the control steps at which something happened first."""

    scene: Scene
    filmed: bool = False
    events: dict[str, int] = field(default_factory=dict)
    pictures: list[ImageArray] = field(default_factory=list)
    _seen: list[Observation] = field(default_factory=list)
    _actions: list[FloatArray] = field(default_factory=list)
    _positions: list[dict[str, FloatArray]] = field(default_factory=list)
    _grasped: list[frozenset[str]] = field(default_factory=list)

    def watch(self, observation: Observation, action: FloatArray | None) -> None:
        """See an observation and the action that led to it; a `libero_source.Watch`."""
        self._seen.append(observation)
        self._positions.append(self.scene.object_positions())
        self._grasped.append(self.scene.grasped_objects())
        step = len(self._seen) - 1
        self.events.setdefault("start", 0)
        if action is not None:
            self._actions.append(action)
            if action[-1] > 0:
                self.events.setdefault("close", step)
        if self._grasped[-1]:
            self.events.setdefault("grasp", step)
        if self.filmed:
            self.pictures.append(self.scene.render(FILMED_CAMERA))

    def inside(self, window: Window, step: int) -> bool:
        """Tell whether an inference before this control step lies in the window."""
        if window.after not in self.events:
            return False
        since = step - self.events[window.after]
        return since >= window.first and (window.to == -1 or since < window.to)

    @property
    def actions(self) -> np.ndarray:
        """The executed actions (T, 7) float32."""
        return np.array(self._actions, np.float32).reshape(-1, 7)

    def trajectory(self, traces: HookTraces) -> Trajectory:
        """Return the file's content."""
        names = sorted(self._positions[0])
        gripper = np.array([one.gripper_qpos for one in self._seen])
        return Trajectory(
            control_rate=np.array(self.scene.control_rate_hz),
            ee_position=np.array([one.ee_position for one in self._seen]),
            ee_quaternion=np.array([one.ee_quaternion for one in self._seen]),
            gripper_opening=gripper[:, 0] - gripper[:, 1],
            actions=self.actions,
            object_names=np.array(names, str),
            object_positions=np.array(
                [[one[name] for name in names] for one in self._positions]
            ).reshape(len(self._seen), len(names), 3),
            grasped=np.array(
                [[name in one for name in names] for one in self._grasped], bool
            ).reshape(len(self._seen), len(names)),
            inference_steps=np.array(traces.steps, np.int64),
            **traces.arrays(),
        )


def actions_sha256(actions: np.ndarray) -> str:
    """Return the hex digest of actions as float32, as the live demonstration has it."""
    return hashlib.sha256(np.ascontiguousarray(actions, np.float32).tobytes()).hexdigest()
