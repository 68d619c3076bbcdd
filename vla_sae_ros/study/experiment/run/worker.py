"""Makes runs, one after another, in whatever process or machine it lives."""

from __future__ import annotations

from pathlib import Path

from vla_sae_ros.study.experiment.design.plan import PlannedRun
from vla_sae_ros.study.experiment.design.settings import RunSettings
from vla_sae_ros.study.experiment.records.outcome import Result
from vla_sae_ros.study.experiment.run.observing import Look, looks, run_observations
from vla_sae_ros.study.experiment.run.open_loop import run_latency, run_open_loop
from vla_sae_ros.study.experiment.run.rollouts import run_rollout
from vla_sae_ros.study.experiment.run.setup import SetupSpec
from vla_sae_ros.study.experiment.run.store import file_of


class Worker:
    """Opens the setup once, and makes runs on it.

    Args:
        spec: how to make the setup, policy and world.
        folder: of the study, where the observations for open loop lie.
    """

    def __init__(self, spec: SetupSpec, folder: Path) -> None:
        self._setup, self._folder = spec.open(), folder
        self._looked: tuple[tuple[str, ...], int, list[Look]] = ((), 0, [])

    def run(self, run: PlannedRun) -> Result:
        """Make one run."""
        settings = run.settings
        if settings.kind == "open_loop":
            return run_open_loop(self._setup, settings, self._looks(settings))
        if settings.kind == "latency":
            return run_latency(self._setup, settings, self._looks(settings))
        assert run.task is not None  # every rollout has one
        if settings.kind == "observations":
            return run_observations(self._setup, settings, run.task)
        return run_rollout(self._setup, settings, run.task, run.filmed)

    def close(self) -> None:
        self._setup.close()

    def _looks(self, settings: RunSettings) -> list[Look]:
        count = settings.steps if settings.kind == "open_loop" else 1
        if self._looked[:2] != (settings.sources, count):
            paths = [self._folder / file_of(run_id) for run_id in settings.sources]
            self._looked = (settings.sources, count, looks(paths, count))
        return self._looked[2]
