"""What a run was: an episode's trajectory, step by step, and what the hooks did and read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vla_sae_ros.core.readout import SiteReadout
from vla_sae_ros.policy.inference import Inference
from vla_sae_ros.sim.environment import FloatArray, ImageArray, Observation
from vla_sae_ros.study.experiment.design.study_parts import Window
from vla_sae_ros.study.experiment.records.files import Trajectory
from vla_sae_ros.study.experiment.run.setup import Scene

FILMED_CAMERA = "agentview"  # or the first one, where there is none of that name


class HookTraces:
    """Collects edit strengths and the activations of chosen features.

    Args:
        traced: (site, feature), of tapped sites.
    """

    def __init__(self, traced: Sequence[tuple[str, int]]) -> None:
        self._traced = tuple(traced)
        self.steps: list[int] = []
        self._ratio: list[float] = []
        self._capped: list[bool] = []
        self._natural: list[list[float]] = []
        self._applied: list[list[float]] = []

    def add(self, step: int, inference: Inference) -> None:
        """Keep what one inference says."""
        sites = {site.site: site for site in inference.sites}
        self.steps.append(step)
        self._ratio.append(max((site.edit_norm_ratio for site in sites.values()), default=0.0))
        self._capped.append(any(site.capped for site in sites.values()))
        values = [_activation(sites.get(site), feature) for site, feature in self._traced]
        self._natural.append([natural for natural, _ in values])
        self._applied.append([applied for _, applied in values])

    @property
    def strength(self) -> dict[str, float]:
        """Return edit_ratio, capped_share and acted_share as `table.Row` has them."""
        ratio = np.array(self._ratio)
        acted = ratio > 0
        return {
            "edit_ratio": float(ratio[acted].mean()) if acted.any() else 0.0,
            "capped_share": float(np.array(self._capped)[acted].mean()) if acted.any() else 0.0,
            "acted_share": float(acted.mean()) if len(ratio) else 0.0,
        }

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays that `files.HookReadings` has."""
        shape = (len(self.steps), len(self._traced))
        return {
            "edit_ratio": np.array(self._ratio, np.float32),
            "capped": np.array(self._capped, bool),
            "feature_sites": np.array([site for site, _ in self._traced], str),
            "feature_ids": np.array([feature for _, feature in self._traced], np.int64),
            "natural": np.array(self._natural, np.float32).reshape(shape),
            "applied": np.array(self._applied, np.float32).reshape(shape),
        }


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
        """See an observation and the action that led to it; a `playing.Watch`."""
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
            cameras = self.scene.cameras
            camera = FILMED_CAMERA if FILMED_CAMERA in cameras else cameras[0]
            self.pictures.append(self.scene.render(camera))

    def inside(self, window: Window, step: int) -> bool:
        """Tell whether an inference before this control step lies in the window."""
        if window.after not in self.events:
            return False
        since = step - self.events[window.after]
        return since >= window.first and (window.to == -1 or since < window.to)

    @property
    def actions(self) -> np.ndarray:
        """The executed actions (T, A) float32."""
        return np.array(self._actions, np.float32).reshape(len(self._actions), -1)

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


def _activation(site: SiteReadout | None, feature: int) -> tuple[float, float]:
    if site is None:
        return np.nan, np.nan
    place = np.flatnonzero(site.index == feature)
    if not len(place):
        return 0.0, 0.0
    return float(site.natural[place[0]]), float(site.applied[place[0]])
