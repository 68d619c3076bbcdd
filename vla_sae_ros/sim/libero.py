"""LIBERO and LIBERO-PRO scenes behind the Environment protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import mujoco
import numpy as np

from vla_sae_ros.core.errors import ConfigurationError, SimulationError, complaint
from vla_sae_ros.core.picture_record import QUALITIES, PictureRecord, Quality
from vla_sae_ros.sim.background_renderer import MujocoBackgroundRenderer, RenderProcess
from vla_sae_ros.sim.environment import (
    BackgroundRenderer,
    FloatArray,
    ImageArray,
    Layout,
    ObjectPose,
    Observation,
    StepResult,
    TaskSpec,
)
from vla_sae_ros.sim.episode_thread import EpisodeThread
from vla_sae_ros.sim.expert import PrivilegedState
from vla_sae_ros.sim.layout import rearranged
from vla_sae_ros.sim.quiet import prepare_simulator_imports
from vla_sae_ros.sim.suites import load_init_state
from vla_sae_ros.sim.worker import RESET_LIMIT_S, STEP_LIMIT_S

prepare_simulator_imports()

from libero.libero.envs import OffScreenRenderEnv  # noqa: E402
from robosuite.utils.errors import RandomizationError  # noqa: E402

CAMERAS = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
"""Our camera names and LIBERO's."""
IMAGE_SIZE = 256
CONTROL_RATE_HZ = 20.0
SETTLE_STEPS = 10
SETTLE_ACTION = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])
"""LIBERO policies are evaluated after ten such steps, while the objects come to rest."""
RESET_ATTEMPTS = 20
"""Placement sampling can fail by bad luck; LIBERO would try for ever."""


class LiberoEnvironment:
    """One LIBERO scene at a time, rebuilt when a task of another scene is reset.

    quality "full" renders as LIBERO does; "quick" without reflections and multisampling (faster,
    visibly plainer), for policies that were trained so. reset_limit_s bounds a reset including the
    building of the scene; step_limit_s bounds a step and a picture.
    """

    def __init__(
        self,
        quality: Quality = "full",
        reset_limit_s: float = RESET_LIMIT_S,
        step_limit_s: float = STEP_LIMIT_S,
    ) -> None:
        if quality not in QUALITIES:
            allowed = ", ".join(QUALITIES)
            raise ConfigurationError(complaint("Unknown render quality", quality, allowed))
        self._quality = quality
        self._reset_limit_s, self._step_limit_s = reset_limit_s, step_limit_s
        self._episode: EpisodeThread[_Scene] = EpisodeThread("LIBERO", reset_limit_s, step_limit_s)

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(CAMERAS)

    @property
    def picture_record(self) -> PictureRecord:
        """What draws this environment's pictures."""
        return PictureRecord(self._quality, mujoco.__version__)

    @property
    def control_rate_hz(self) -> float:
        return CONTROL_RATE_HZ

    def reset(
        self, task: TaskSpec, init_state: int, seed: int, layout: Layout = Layout()
    ) -> Observation:
        """Start an episode; see Environment.reset."""
        state = load_init_state(task, init_state)

        def start() -> Observation:
            scene = self._episode.scene(
                lambda scene: scene.problem_file == task.problem_file,
                lambda: _Scene(task, self._quality),
            )
            return scene.reset(task, state, seed, layout)

        what = f"reset {task.suite} task {task.task_index} to init state {init_state}, seed {seed}"
        return self._episode.reset(what, start)

    def step(self, action: FloatArray) -> StepResult:
        """Execute one control step; raises ConfigurationError for a malformed action."""
        values = np.asarray(action, dtype=np.float64)
        if values.shape != (7,) or not np.isfinite(values).all() or np.abs(values).max() > 1.0:
            raise ConfigurationError(
                complaint(
                    "An action cannot be executed",
                    np.asarray(action).tolist(),
                    "7 finite numbers in [-1, 1]",
                )
            )
        return self._episode.call("step", lambda scene: scene.step(values))

    def render(self, camera: str) -> ImageArray:
        """Render one camera; raises ConfigurationError for an unknown name."""
        if camera not in CAMERAS:
            raise ConfigurationError(complaint("Unknown camera", camera, ", ".join(CAMERAS)))
        return self._episode.call(f"render {camera}", lambda scene: scene.render(CAMERAS[camera]))

    def background_renderer(self, wake: Callable[[], None]) -> BackgroundRenderer:
        """Return what draws this episode; see DrawsInBackground."""

        def make(scene: _Scene) -> MujocoBackgroundRenderer:
            return scene.background_renderer(self._reset_limit_s, self._step_limit_s)

        renderer: MujocoBackgroundRenderer = self._episode.call("copy the scene", make)
        renderer.begin(wake)
        return renderer

    def object_positions(self) -> dict[str, FloatArray]:
        """Return every object's position (3,) in the world frame, metres."""
        return {name: pose.position for name, pose in self.object_poses().items()}

    def object_poses(self) -> dict[str, ObjectPose]:
        """Return every object's pose in the world frame."""
        return self._episode.call("read the objects", lambda scene: scene.object_poses())

    def grasped_objects(self) -> frozenset[str]:
        """Return the objects that touch both fingers."""
        return self._episode.call("read the contacts", lambda scene: scene.grasped_objects())

    def privileged(self, observation: Observation) -> PrivilegedState:
        """Return what the scripted expert may look at: the observation and the objects."""
        return PrivilegedState(observation, self.object_poses(), self.grasped_objects())

    def close(self) -> None:
        """Free the simulator."""
        self._episode.close()


class _Scene:
    """One loaded LIBERO problem; used on the simulation thread only."""

    def __init__(self, task: TaskSpec, quality: Quality) -> None:
        self.problem_file = task.problem_file
        self._quality = quality
        with _preserved_numpy_state():
            self._wrapper = OffScreenRenderEnv(
                bddl_file_name=str(task.problem_file),
                camera_heights=IMAGE_SIZE,
                camera_widths=IMAGE_SIZE,
                ignore_done=True,
                hard_reset=False,
            )
        self._env = self._wrapper.env
        # Observables would render both cameras at every control step; state is read directly.
        for name in self._env.observation_names:
            self._env.modify_observable(name, "enabled", False)
            self._env.modify_observable(name, "active", False)
        self._goal: tuple[tuple[str, ...], ...] = ()
        self._renderer: MujocoBackgroundRenderer | None = None

    def reset(self, task: TaskSpec, state: FloatArray, seed: int, layout: Layout) -> Observation:
        expected = 1 + self._env.sim.model.nq + self._env.sim.model.nv
        if state.shape != (expected,):
            raise SimulationError(
                f"An init state of {task.suite} task {task.task_index} has {state.size} numbers, "
                f"its scene needs {expected}; the installed task files and init files do not match."
            )
        self._goal = task.goal
        with _preserved_numpy_state():
            self._sample_fixtures(task, seed)
        # The gripper integrates its command, and a soft reset keeps the last episode's.
        gripper = self._env.robots[0].gripper
        gripper.current_action = np.zeros(gripper.dof)
        self._env.sim.set_state_from_flattened(state)
        self._env.sim.forward()
        self._arrange(layout, seed)
        self._apply_quality()
        observation = self._observe()
        for _ in range(SETTLE_STEPS):
            observation = self.step(SETTLE_ACTION).observation
        return observation

    def step(self, action: FloatArray) -> StepResult:
        _, _, success, _ = self._env.step(action)
        if self._goal:
            success = all(self._env._eval_predicate(list(state)) for state in self._goal)
        return StepResult(self._observe(), bool(success))

    def render(self, camera: str) -> ImageArray:
        picture = self._env.sim.render(IMAGE_SIZE, IMAGE_SIZE, camera_name=camera)
        return np.ascontiguousarray(picture[::-1, ::-1])

    def background_renderer(
        self, start_limit_s: float, draw_limit_s: float
    ) -> MujocoBackgroundRenderer:
        if self._renderer is None:
            context, sim = self._env.sim._render_context_offscreen, self._env.sim

            def process(cameras: Mapping[str, str]) -> RenderProcess:
                return RenderProcess(
                    sim.model._model,
                    sim.data._data,
                    cameras,
                    IMAGE_SIZE,
                    context.vopt,
                    bool(context.scn.flags[mujoco.mjtRndFlag.mjRND_REFLECTION]),
                    start_limit_s,
                    draw_limit_s,
                )

            self._renderer = MujocoBackgroundRenderer(CAMERAS, process)
        return self._renderer

    def object_poses(self) -> dict[str, ObjectPose]:
        data = self._env.sim.data
        return {
            name: ObjectPose(
                np.array(data.body_xpos[body]), np.roll(np.array(data.body_xquat[body]), -1)
            )
            for name, body in self._env.obj_body_id.items()
        }

    def grasped_objects(self) -> frozenset[str]:
        # Not the pads alone: a bottle's cap keeps them off the wider body that the fingers hold.
        parts = self._env.robots[0].gripper.important_geoms
        fingers = [parts["left_finger"], parts["right_finger"]]
        # Each question walks over all contacts: most steps need no more than these.
        if not all(self._env.check_contact(finger) for finger in fingers):
            return frozenset()
        return frozenset(
            name
            for name, entity in self._env.objects_dict.items()
            if self._env._check_grasp(fingers, entity)
        )

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
        self._wrapper.close()

    def _sample_fixtures(self, task: TaskSpec, seed: int) -> None:
        # Fixtures are not part of an init state: they come from this seeded sampling. LIBERO's own
        # reset() swallows every exception and tries again for ever, hence the inner one here.
        self._wrapper.seed(seed)
        for _ in range(RESET_ATTEMPTS):
            try:
                self._env.reset()
                return
            except RandomizationError:
                continue
        raise SimulationError(
            f"LIBERO could not place the objects of {task.suite} task {task.task_index} in "
            f"{RESET_ATTEMPTS} attempts with seed {seed}; try another seed."
        )

    def _arrange(self, layout: Layout, seed: int) -> None:
        if layout == Layout():
            return
        sim = self._env.sim
        movable = {name: self._env.objects_dict[name].joints[-1] for name in self._env.objects_dict}
        starts = {name: np.array(sim.data.get_joint_qpos(joint)) for name, joint in movable.items()}
        places = rearranged(starts, layout, seed)
        for name, joint in movable.items():
            sim.data.set_joint_qpos(joint, np.concatenate([places[name], starts[name][2:]]))
        sim.forward()

    def _apply_quality(self) -> None:
        if self._quality == "full":
            return
        context = self._env.sim._render_context_offscreen
        context.scn.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        if self._env.sim.model.vis.quality.offsamples:
            # Multisampling is a property of the GL context: it has to be made anew.
            self._env.sim.model.vis.quality.offsamples = 0
            context.con.free()
            context._set_mujoco_context_and_buffers()

    def _observe(self) -> Observation:
        sim, robot = self._env.sim, self._env.robots[0]
        hand = sim.model.body_name2id(robot.robot_model.eef_name)
        return Observation(
            joint_position=np.array(sim.data.qpos[robot._ref_joint_pos_indexes]),
            ee_position=np.array(sim.data.site_xpos[robot.eef_site_id]),
            ee_quaternion=np.roll(np.array(sim.data.body_xquat[hand]), -1),
            gripper_qpos=np.array(sim.data.qpos[robot._ref_gripper_joint_pos_indexes]),
        )


class _preserved_numpy_state:
    """LIBERO seeds numpy's global generator; a caller's own draws must not notice."""

    def __enter__(self) -> None:
        self._state = np.random.get_state()

    def __exit__(self, *_: object) -> None:
        np.random.set_state(self._state)
