"""Runs side by side: simulators that ask, one policy that answers all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vla_sae_ros.core.picture_record import Quality
from vla_sae_ros.policy.inference import Inference
from vla_sae_ros.sim.benchmark import benchmark_named
from vla_sae_ros.sim.environment import TaskSpec
from vla_sae_ros.study.batches.jobs import Ask, Done, Players, Session
from vla_sae_ros.study.experiment.design.settings import RunSettings
from vla_sae_ros.study.experiment.records.outcome import Result
from vla_sae_ros.study.experiment.run.questions import Answered, Asked, Look
from vla_sae_ros.study.experiment.run.setup import Scene
from vla_sae_ros.study.experiment.run.worker import Worker

if TYPE_CHECKING:  # players have no PyTorch
    from vla_sae_ros.study.experiment.design.plan import PlannedRun


class AskingSetup:
    """See `setup.RunSetup`: a world of this process, a policy of another."""

    def __init__(self, make_scene: Callable[[], Scene]) -> None:
        self._make_scene = make_scene
        self._scene: Scene | None = None
        self.ask: Ask | None = None

    def scene(self) -> Scene:
        if self._scene is None:
            self._scene = self._make_scene()
        return self._scene

    def hooked(self, settings: RunSettings, donor: Sequence[Look] = ()) -> AskingPolicy:
        assert not settings.needs_own_policy and not donor  # evaluate makes these elsewhere
        assert self.ask is not None  # only a job that is played asks
        return AskingPolicy(self.ask)

    def close(self) -> None:
        if self._scene is not None:
            self._scene.close()


@dataclass(frozen=True)
class AskingPolicy:
    """See `setup.RunPolicy`; the run's hooks are on in the policy's process as long as the job."""

    ask: Ask

    def infer(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise_seed: tuple[int, int],
        share: float,
    ) -> Inference:
        answered: Answered = self.ask(Asked(frame, instruction, noise_seed, share))
        sites = answered.sites
        return Inference(answered.actions, lambda: sites, 0, False, answered.milliseconds)

    def close(self) -> None:
        """Nothing is hooked in this process."""


class RunPlayer:
    """See `batches.jobs.Player`.

    Args:
        make_scene: makes the world, when a run needs it.
        folder: of the study.
    """

    def __init__(self, make_scene: Callable[[], Scene], folder: Path) -> None:
        self.setup = AskingSetup(make_scene)
        self.worker = Worker(self.setup, folder)

    def close(self) -> None:
        self.worker.close()


def scene_of(env: str, suite: str, contract: str, quality: Quality) -> Scene:
    """Return a scene of one's own; see `sim.benchmark.benchmark_named`."""
    scene = benchmark_named(env, contract, quality).environment(suite)
    assert isinstance(scene, Scene)
    return scene


@dataclass(frozen=True)
class RunJob:
    """See `batches.jobs.Job`; a question is an `Asked`, its answer an `Answered`."""

    settings: RunSettings
    task: TaskSpec | None
    filmed: bool

    @property
    def name(self) -> str:
        return f"run {self.settings.run_id}"

    def play(self, player: RunPlayer, ask: Ask) -> Result:
        player.setup.ask = ask
        return player.worker.run(self.settings, self.task, self.filmed)

    def session(self, answering: Any) -> Session:
        from vla_sae_ros.study.experiment.run.answering import RunSession

        return RunSession(answering, self.settings)


class BatchedRuns:
    """`worker_pool.WorkerPool` of players; whoever made them closes them."""

    def __init__(self, players: Players) -> None:
        self._players = players

    @property
    def count(self) -> int:
        return self._players.count

    def give(self, worker: int, run: PlannedRun) -> None:
        """Let an idle worker make a run."""
        self._players.give(worker, RunJob(run.settings, run.task, run.filmed))

    def wait(self) -> list[tuple[int, Result | str]]:
        """Wait until a worker is done; see `worker_pool.WorkerPool.wait`."""
        return [
            (worker, said.result if isinstance(said, Done) else said.reason)
            for worker, said in self._players.wait()
        ]

    def close(self) -> None:
        """Stop every worker, whatever it is at."""
        self._players.close()
