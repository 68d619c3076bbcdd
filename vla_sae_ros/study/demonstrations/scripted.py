"""Scripted demonstrations in LIBERO: disturbed execution, undisturbed labels, moved objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.picture_record import write_picture_record
from vla_sae_ros.sim.conventions import libero_state
from vla_sae_ros.sim.environment import FloatArray, Layout, Observation, TaskSpec
from vla_sae_ros.sim.expert import PrivilegedState, expert_action
from vla_sae_ros.sim.libero import LiberoEnvironment
from vla_sae_ros.sim.noise import ActionNoise, NoiseSettings
from vla_sae_ros.sim.splits import TRAINING_INIT_STATES, TRAINING_SEEDS
from vla_sae_ros.sim.suites import (
    find_task,
    retarget,
    target_and_goal,
)
from vla_sae_ros.study.demonstrations.files import (
    INDEX_NAME,
    Episode,
    EpisodeInfo,
    read_index,
    write_episode,
)

PICTURE_STRIDE = 4
"""Control steps between pictures: rendering is what a demonstration costs."""
MAX_STEPS = 170
"""A disturbed expert that needs longer is stuck, and teaches the same frame over and over."""
PICTURE_SIZE = 128

Behaviour = Callable[[Observation, FloatArray], tuple[FloatArray, bool]]
"""From the observation and the expert's action to the executed action and "was it a push"."""


@dataclass(frozen=True)
class EpisodePlan:
    """One demonstration to make."""

    task_index: int
    target: str
    init_state: int
    seed: int
    layout: Layout
    suite: str = "libero_object"


@dataclass(frozen=True)
class SceneTargets:
    """Which objects to bring in one task's scene."""

    task_index: int
    targets: tuple[str, ...]
    suite: str = "libero_object"


def plan_episodes(
    scenes: Iterable[SceneTargets],
    rounds: int,
    first_seed: int,
    move_objects_m: float = 0.04,
    moved_share: float = 0.7,
    exchange_share: float = 0.3,
    shuffled_share: float = 0.0,
) -> list[EpisodePlan]:
    """Return a plan of `rounds` episodes per target, shuffled within each scene.

    A share of the episodes moves all objects; a share exchanges the places of the target and
    another of the scene's targets, so that neither place nor scene gives the target away; in a
    share all but the basket change places.
    """
    plans: list[EpisodePlan] = []
    for scene in scenes:
        wishes = [target for target in scene.targets for _ in range(rounds)]
        for target in np.random.default_rng(first_seed).permutation(wishes):
            seed = first_seed + len(plans)
            if seed not in TRAINING_SEEDS:
                raise ConfigurationError(complaint("A seed is not for training", seed, "0-999999"))
            draw = np.random.default_rng(seed)
            others = [name for name in scene.targets if name != target]
            exchange = None
            if others and draw.random() < exchange_share:
                exchange = (str(target), str(draw.choice(others)))
            distance = move_objects_m if draw.random() < moved_share else 0.0
            init_state = int(draw.choice(TRAINING_INIT_STATES))
            shuffle = bool(draw.random() < shuffled_share)
            plans.append(
                EpisodePlan(
                    scene.task_index,
                    str(target),
                    init_state,
                    seed,
                    Layout(distance, exchange, shuffle),
                    scene.suite,
                )
            )
    return plans


def task_of(plan: EpisodePlan) -> TaskSpec:
    """Return the plan's task: the benchmark's own, or the same scene with another target."""
    task = find_task(plan.suite, plan.task_index)
    return task if target_and_goal(task)[0] == plan.target else retarget(task, plan.target)


def demonstrate(
    environment: LiberoEnvironment,
    plan: EpisodePlan,
    behaviour: Behaviour,
    source: str,
    picture_every: int = PICTURE_STRIDE,
) -> tuple[EpisodeInfo, Episode]:
    """Run one episode to success or MAX_STEPS and label every step with the expert."""
    task = task_of(plan)
    observation = environment.reset(task, plan.init_state, plan.seed, plan.layout)
    goal = target_and_goal(task)[1]
    offset = plan.seed % picture_every
    recorder = _Recorder(environment, (plan.target, goal), picture_every, offset)
    success = False
    while not success and recorder.steps < MAX_STEPS:
        state = environment.privileged(observation)
        label = expert_action(state, plan.target, goal)
        executed, pushed = behaviour(observation, label)
        recorder.add(state, label, executed, pushed)
        result = environment.step(executed)
        observation, success = result.observation, result.success
    info = EpisodeInfo(
        file=f"episode_{source}_{plan.suite}_{plan.task_index}_{plan.seed:06d}.npz",
        suite=plan.suite,
        task_index=plan.task_index,
        instruction=task.instruction,
        target=plan.target,
        init_state=plan.init_state,
        seed=plan.seed,
        moved_m=plan.layout.move_objects_m,
        exchanged=plan.layout.exchange,
        shuffled=plan.layout.shuffle,
        source=source,
        steps=recorder.steps,
        success=success,
    )
    return info, recorder.episode()


def make_demonstrations(
    folder: Path,
    plans: list[EpisodePlan],
    picture_every: int = PICTURE_STRIDE,
    noise: NoiseSettings = NoiseSettings(),
) -> list[EpisodeInfo]:
    """Make the planned demonstrations, skipping those already there; returns the new ones.

    An episode that fails is kept: its labels are the expert's all the same.
    """
    have = {info.file for info in read_index(folder)} if (folder / INDEX_NAME).exists() else set()
    environment = LiberoEnvironment()
    made = []
    try:
        write_picture_record(folder, environment.picture_record)
        for plan in tqdm(plans, desc="demonstrations", unit="episode"):
            name = f"episode_expert_{plan.suite}_{plan.task_index}_{plan.seed:06d}.npz"
            if name in have:
                continue
            disturbance = ActionNoise(noise, np.random.default_rng([plan.seed, 1]))
            info, episode = demonstrate(
                environment,
                plan,
                lambda _, label: disturbance.disturb(label),  # noqa: B023
                "expert",
                picture_every,
            )
            write_episode(folder, info, episode)
            made.append(info)
    finally:
        environment.close()
    return made


def halved(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return (128, 128, 3) from (256, 256, 3) by averaging blocks of 2 x 2 pixels.

    The same as the policy's own bilinear resize by a factor of two, up to rounding.
    """
    blocks = picture.reshape(PICTURE_SIZE, 2, PICTURE_SIZE, 2, 3).astype(np.uint16)
    return ((blocks.sum(axis=(1, 3)) + 2) // 4).astype(np.uint8)


class _Recorder:
    """Collects one episode's arrays."""

    def __init__(
        self,
        environment: LiberoEnvironment,
        landmarks: tuple[str, str],
        picture_every: int,
        offset: int,
    ) -> None:
        self._environment, self._landmarks = environment, landmarks
        self._every, self._offset = picture_every, offset
        self._columns: dict[str, list] = {name: [] for name in Episode.__annotations__}

    @property
    def steps(self) -> int:
        return len(self._columns["labels"])

    def add(
        self, state: PrivilegedState, label: FloatArray, executed: FloatArray, pushed: bool
    ) -> None:
        columns, hand = self._columns, state.observation.ee_position
        if self.steps % self._every == self._offset:
            views = [halved(self._environment.render(name)) for name in self._environment.cameras]
            columns["pictures"].append(np.stack(views))
            columns["picture_steps"].append(self.steps)
        columns["states"].append(libero_state(state.observation))
        columns["labels"].append(label)
        columns["executed"].append(executed)
        columns["pushed"].append(pushed)
        marks = [state.poses[name].position - hand for name in self._landmarks]
        columns["landmarks"].append(np.concatenate(marks))

    def episode(self) -> Episode:
        types = {"pictures": np.uint8, "picture_steps": np.int32, "pushed": np.bool_}
        return Episode(
            **{
                name: np.asarray(column, dtype=types.get(name, np.float32))
                for name, column in self._columns.items()
            }
        )
