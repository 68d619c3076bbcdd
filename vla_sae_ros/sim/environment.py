"""What every simulated robot offers; the bridge and the offline tools know only this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
ImageArray = npt.NDArray[np.uint8]

LIBERO = "libero"
"""The source of episodes that is not lerobot's."""

Predicate = tuple[str, ...]
"""One LIBERO goal predicate, for example ("in", "butter_1", "basket_1_contain_region")."""


@dataclass(frozen=True)
class TaskSpec:
    """One task of one suite: what is said to the policy and when it counts as done."""

    suite: str
    task_index: int
    name: str
    instruction: str
    max_steps: int
    """Control steps after the settle steps, as the benchmark limits an episode."""
    problem_file: Path = field(default=Path(), repr=False)
    """LIBERO's, as the next two."""
    init_states_file: Path = field(default=Path(), repr=False)
    goal: tuple[Predicate, ...] = ()
    """Predicates that must all hold; empty: the goal written in the problem file."""
    env: str = LIBERO
    """Where the suite is from, as `--env` names it."""


@dataclass(frozen=True)
class Layout:
    """How a reset departs from the benchmark's init state; the default does not.

    The draw depends on the seed of the reset alone, so that a layout can be repeated.
    """

    move_objects_m: float = 0.0
    """Every object is shifted by up to this distance in x and in y, metres."""
    exchange: tuple[str, str] | None = None
    """Two objects whose places are exchanged before they are moved."""
    shuffle: bool = False
    """All objects but the basket change places at random, before anything else."""


@dataclass(frozen=True)
class Observation:
    """Proprioception after a control step; pictures are rendered only on demand.

    Positions are in the world frame (metres), the quaternion is (x, y, z, w).
    """

    joint_position: FloatArray
    """(7,) rad."""
    ee_position: FloatArray
    """(3,) m, the point between the finger tips."""
    ee_quaternion: FloatArray
    """(4,) xyzw, orientation of the hand."""
    gripper_qpos: FloatArray
    """(2,) m, finger displacements; about (0.04, -0.04) is open."""


@dataclass(frozen=True)
class StepResult:
    """What one control step led to."""

    observation: Observation
    success: bool
    ended: bool = False
    """The environment itself ended the episode: it is not stepped any more."""


@dataclass(frozen=True)
class ObjectPose:
    """Where an object is, in the world frame (privileged: no policy sees it)."""

    position: FloatArray
    """(3,) m."""
    quaternion: FloatArray
    """(4,) xyzw."""


class Environment(Protocol):
    """A simulated robot that is stepped at its control rate.

    The same (task, init_state, seed, layout) and the same actions give the same observations
    and pictures to the bit, whatever ran before in this process.
    """

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names that `render` accepts."""
        ...

    @property
    def control_rate_hz(self) -> float: ...

    def reset(
        self, task: TaskSpec, init_state: int, seed: int, layout: Layout = Layout()
    ) -> Observation:
        """Start an episode from one of the task's recorded init states.

        Raises ConfigurationError for an unknown init state or object, SimulationError when the
        simulator fails or does not answer within its limit.
        """
        ...

    def step(self, action: FloatArray) -> StepResult:
        """Execute one control step.

        The action is (7,) in [-1, 1], gripper -1 open, +1 close; where the environment has a
        contract of its own (own_contract.py), what that says.
        """
        ...

    def render(self, camera: str) -> ImageArray:
        """Return (H, W, 3) uint8 RGB as policies expect it: LIBERO's rotated by 180 degrees."""
        ...

    def object_positions(self) -> dict[str, FloatArray]:
        """Return the position (3,) in metres of every object (privileged)."""
        ...

    def close(self) -> None:
        """Free the simulator; calling it twice is harmless."""
        ...


class BackgroundRenderer(Protocol):
    """Draws states of an environment elsewhere while the environment is stepped on."""

    @property
    def restarts(self) -> int:
        """How often what draws has ended and was started again in this episode."""
        ...

    @property
    def trouble(self) -> str:
        """How it ended last, in words; empty: it did not."""
        ...

    def submit(self) -> bool:
        """Hand over the present state of the environment to be drawn by every camera.

        Returns at once; False while an earlier state is being drawn, then nothing was handed over.
        """
        ...

    def collect(self, timeout: float = 0.0) -> dict[str, ImageArray] | None:
        """Return the pictures of the state that was handed over, once, as `render` gives them.

        None: they were not there within timeout seconds. Raises SimulationError when there will be
        none.
        """
        ...


@runtime_checkable
class DrawsInBackground(Protocol):
    """An environment whose pictures can be drawn while it is stepped on."""

    def background_renderer(self, wake: Callable[[], None]) -> BackgroundRenderer:
        """Return what draws the scene of the present episode; call after `reset`.

        `wake` is called, on any thread, whenever `collect` may have something to say. Raises
        SimulationError when it cannot be started.
        """
        ...
