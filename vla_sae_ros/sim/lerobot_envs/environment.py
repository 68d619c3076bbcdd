"""One environment of lerobot's, one episode at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from lerobot.envs.configs import EnvConfig, HubEnvConfig
from lerobot.envs.factory import make_env
from lerobot.envs.utils import NEW_ROLLOUT_OPTION, close_envs

from vla_sae_ros.core.contract import Contract
from vla_sae_ros.core.errors import ConfigurationError, SimulationError, complaint
from vla_sae_ros.sim.environment import FloatArray, ImageArray, Layout, StepResult, TaskSpec
from vla_sae_ros.sim.episode_thread import EpisodeThread
from vla_sae_ros.sim.lerobot_envs.config import (
    EnvName,
    config_of,
    not_installed,
    told_what_is_missing,
)
from vla_sae_ros.sim.lerobot_envs.frames import Processors, batch_of_one, blank_observation
from vla_sae_ros.sim.lerobot_envs.installing import how_to_install, in_the_way
from vla_sae_ros.sim.own_contract import VectorObservation, contract_document, topic_name
from vla_sae_ros.sim.worker import RESET_LIMIT_S, STEP_LIMIT_S

SUCCESS_KEYS = ("is_success", "success", "succeed")
"""Of the information of a step; lerobot's own environments tell the first, plugins any of them."""
RECORDED_STATES, STATE = "_init_states", "init_state_id"
"""Where lerobot's environments have recorded initial states, and the number of the next one."""


@dataclass(frozen=True)
class Facts:
    """What is known of a suite's environments before one is reset."""

    control_rate_hz: float
    pictures: Mapping[str, str]
    """Policy feature -> camera."""
    vectors: Mapping[str, tuple[str, int]]
    """Policy feature -> (name, width)."""
    low: FloatArray
    """(A,) bounds of an action; infinite ones do not bound."""
    high: FloatArray
    tasks: tuple[TaskSpec, ...]
    shapes: Mapping[str, tuple[int, ...]]
    """Policy feature -> shape as a policy's configuration has it: pictures (3, H, W)."""

    def document(self, robot_type: str) -> dict[str, Any]:
        """Return the contract that follows, as its YAML file has it."""
        return contract_document(
            robot_type, self.control_rate_hz, self.pictures, self.vectors, self.low, self.high
        )


def make_all(name: EnvName) -> dict[int, Any]:
    """Return a suite's vector environments by task, each a batch of one, none reset yet.

    Raises:
        ConfigurationError: what it needs is not installed, or there is no such suite.
    """
    config = config_of(name)
    if other := in_the_way(name.kind):
        raise ConfigurationError(
            f"The environment {name.kind} is not installed: {other} is installed under its name. "
            f"Install it: {how_to_install(name.kind)}."
        )
    if isinstance(config, HubEnvConfig):
        raise ConfigurationError(
            f"lerobot loads the environment {name.kind} as code from a hub ({config.hub_path}), "
            f"which this package does not run. Install it ({how_to_install(name.kind)}) and "
            "register it as a plugin, a package lerobot_env_<name>."
        )
    with told_what_is_missing(name):
        groups = make_env(config, n_envs=1)
    if len(groups) != 1:
        close_envs(groups)
        raise ConfigurationError(complaint("--suite", name.suite, "one of lerobot's, not several"))
    return dict(next(iter(groups.values())))


def facts_of(name: EnvName) -> Facts:
    """Make the suite's environments, see what they show, and close them.

    Raises:
        ConfigurationError: see `make_all`; or its actions are no vector.
    """
    config = config_of(name)
    environments = make_all(name)
    try:
        one = next(iter(environments.values()))
        action = one.single_action_space
        if not isinstance(action, Box) or len(action.shape) != 1:
            raise ConfigurationError(complaint(f"The action of {name.text}", action, "a vector"))
        frame = Processors(config).frame(blank_observation(one.single_observation_space), "")
        tasks = tuple(
            _task(name, index, environment, config)
            for index, environment in sorted(environments.items())
        )
    finally:
        close_envs(environments)
    pictures = {key: topic_name(_last(key)) for key, value in frame.items() if value.ndim == 3}
    vectors = {
        key: (topic_name(_last(key)), len(value)) for key, value in frame.items() if value.ndim == 1
    }
    low, high = np.asarray(action.low, np.float64), np.asarray(action.high, np.float64)
    shapes = {key: np.moveaxis(value, -1, 0).shape for key, value in frame.items()}
    shapes["action"] = low.shape
    return Facts(float(config.fps), pictures, vectors, low, high, tasks, shapes)


class LerobotEnvironment:
    """See Environment. An environment of another task is made when that is reset.

    An episode's scene follows from its seed; its init state counts where the environment has
    recorded ones, and is 0 elsewhere. reset_limit_s bounds a reset, the making of the environment
    included; step_limit_s bounds a step. The environment draws every step's pictures itself.
    """

    def __init__(
        self,
        name: EnvName,
        facts: Facts,
        contract: Contract,
        reset_limit_s: float = RESET_LIMIT_S,
        step_limit_s: float = STEP_LIMIT_S,
    ) -> None:
        self._name, self._facts = name, facts
        self.contract = contract
        self._processors = Processors(config_of(name))
        self._episode: EpisodeThread[_Episode] = EpisodeThread(
            name.text, reset_limit_s, step_limit_s
        )

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(self._facts.pictures.values())

    @property
    def vectors(self) -> dict[str, int]:
        """See OwnContract."""
        return dict(self._facts.vectors.values())

    @property
    def control_rate_hz(self) -> float:
        return self._facts.control_rate_hz

    def reset(
        self, task: TaskSpec, init_state: int, seed: int, layout: Layout = Layout()
    ) -> VectorObservation:
        """Start an episode; see Environment.reset. There are no layouts here."""
        if layout != Layout():
            raise ConfigurationError(
                complaint(f"A layout of {self._name.text}", layout, "none: only LIBERO has them")
            )

        def start() -> VectorObservation:
            try:
                episode = self._episode.scene(
                    lambda episode: episode.task == task,
                    lambda: _Episode(self._name, task, self._facts, self._processors),
                )
                return episode.reset(init_state, seed)
            except ImportError as error:  # some import their simulator only now
                raise not_installed(self._name, error) from error

        return self._episode.reset(
            f"reset {task.suite} task {task.task_index} with seed {seed}", start
        )

    def step(self, action: FloatArray) -> StepResult:
        """Execute one control step; raises ConfigurationError for a malformed action."""
        values = np.asarray(action, np.float64)
        if values.shape != self._facts.low.shape or not np.isfinite(values).all():
            raise ConfigurationError(
                complaint(
                    "An action cannot be executed",
                    values.tolist(),
                    f"{len(self._facts.low)} finite numbers",
                )
            )
        return self._episode.call("step", lambda episode: episode.step(values))

    def render(self, camera: str) -> ImageArray:
        """Return the (H, W, 3) uint8 RGB picture of a camera, as lerobot's policies see it."""
        if camera not in self.cameras:
            raise ConfigurationError(complaint("Unknown camera", camera, ", ".join(self.cameras)))
        return self._episode.call(f"render {camera}", lambda episode: episode.pictures[camera])

    @property
    def instruction(self) -> str:
        """See OwnContract; RoboCasa words it at each reset."""
        return self._episode.call("read the instruction", lambda episode: episode.instruction())

    def object_positions(self) -> dict[str, FloatArray]:
        """Return nothing: lerobot's environments do not tell where objects are."""
        return {}

    def grasped_objects(self) -> frozenset[str]:
        """Return nothing, for the same reason."""
        return frozenset()

    def close(self) -> None:
        """Free the simulator."""
        self._episode.close()


class _Episode:
    """lerobot's environment of one task; used on the simulation thread only."""

    def __init__(self, name: EnvName, task: TaskSpec, facts: Facts, processors: Processors) -> None:
        self.task = task
        self._facts, self._processors = facts, processors
        environments = make_all(name.of_suite(task.suite))
        self._env = environments.pop(task.task_index)
        close_envs(environments)
        self.pictures: dict[str, ImageArray] = {}
        self._end: StepResult | None = None

    def reset(self, init_state: int, seed: int) -> VectorObservation:
        self._choose(init_state)
        observation, _ = self._env.reset(seed=[seed], options={NEW_ROLLOUT_OPTION: True})
        self._end = None
        return self._seen(observation)

    def step(self, action: FloatArray) -> StepResult:
        if self._end is not None:  # another step would begin another episode
            return self._end
        observation, _, terminated, truncated, info = self._env.step(
            self._processors.action(action)
        )
        if "final_obs" in info:  # what is shown besides belongs to the next episode already
            observation = batch_of_one(info["final_obs"][0])
        success, over = _success(info), bool(terminated[0] or truncated[0])
        result = StepResult(self._seen(observation), success, over)
        if over:
            self._end = result
        return result

    def instruction(self) -> str:
        return str(_attribute(self._env, "task_description") or "")

    def close(self) -> None:
        self._env.close()

    def _choose(self, init_state: int) -> None:
        recorded = _attribute(self._env, RECORDED_STATES)
        count = 1 if recorded is None else len(recorded)
        if not 0 <= init_state < count:
            allowed = f"0 to {count - 1}" if count > 1 else "0: the seed decides the scene"
            raise ConfigurationError(
                complaint(f"Unknown init state of {self.task.suite}", init_state, allowed)
            )
        if recorded is not None:
            self._env.set_attr(STATE, init_state)

    def _seen(self, observation: Any) -> VectorObservation:
        frame = self._processors.frame(observation, self.task.instruction)
        facts = self._facts
        self.pictures = {camera: frame[key] for key, camera in facts.pictures.items()}
        vectors = {name: frame[key].astype(np.float64) for key, (name, _) in facts.vectors.items()}
        for name, width in facts.vectors.values():
            if vectors[name].shape != (width,):
                raise SimulationError(
                    complaint(f"{name} has changed its size", vectors[name].shape, (width,))
                )
        return VectorObservation.of(vectors)


def _task(name: EnvName, index: int, environment: Any, config: EnvConfig) -> TaskSpec:
    suite = config.task or ""
    told = str(_attribute(environment, "task_description") or "")
    task = str(_attribute(environment, "task") or suite)
    steps = _attribute(environment, "_max_episode_steps") or getattr(config, "episode_length", 0)
    if not steps:
        raise ConfigurationError(
            complaint(f"maximum episode length of {name.text}", steps, "set episode_length=<steps>")
        )
    return TaskSpec(suite, index, task, told, int(steps), env=name.text)


def _attribute(environment: Any, name: str) -> Any:
    """Return an attribute of the environment within; None where it has none."""
    try:
        return environment.get_attr(name)[0]
    except AttributeError:
        return None


def _success(info: Mapping[str, Any]) -> bool:
    final = info.get("final_info")
    told = [one for one in (final, info) if isinstance(one, Mapping)]
    for where in told:
        for key in SUCCESS_KEYS:
            if key in where:
                return bool(np.asarray(where[key]).reshape(-1)[0])
    return False


def _last(key: str) -> str:
    return key.rpartition(".")[2]
