"""Making one run after another; neither a policy nor PyTorch is imported in here."""

from __future__ import annotations

import sys
from pathlib import Path

from vla_sae_ros.sim.environment import TaskSpec
from vla_sae_ros.study.experiment.design.settings import RunSettings
from vla_sae_ros.study.experiment.records.outcome import Result
from vla_sae_ros.study.experiment.run.observing import looks, run_observations
from vla_sae_ros.study.experiment.run.open_loop import run_latency, run_open_loop
from vla_sae_ros.study.experiment.run.questions import Look
from vla_sae_ros.study.experiment.run.rollouts import run_rollout
from vla_sae_ros.study.experiment.run.setup import RunSetup
from vla_sae_ros.study.experiment.run.store import file_of


class Worker:
    """Makes runs on a setup.

    Args:
        setup: the worker closes it.
        folder: of the study, where the observations for open loop and of donors lie.
    """

    def __init__(self, setup: RunSetup, folder: Path) -> None:
        self._setup, self._folder = setup, folder
        self._looked: tuple[tuple[str, ...], int, list[Look]] = ((), 0, [])

    def run(self, settings: RunSettings, task: TaskSpec | None, filmed: bool) -> Result:
        """Make one run; `task` is that of a rollout."""
        if settings.kind == "open_loop":
            return run_open_loop(self._setup, settings, self._looks(settings))
        if settings.kind == "latency":
            return run_latency(self._setup, settings, self._looks(settings))
        assert task is not None  # every rollout has one
        if settings.kind == "observations":
            return run_observations(self._setup, settings, task)
        donor = self._looks(settings) if settings.injection is not None else ()
        return run_rollout(self._setup, settings, task, filmed, donor)

    def close(self) -> None:
        """Free the setup."""
        self._setup.close()

    def _looks(self, settings: RunSettings) -> list[Look]:
        count = settings.steps if settings.kind == "open_loop" else 1
        count = sys.maxsize if settings.injection is not None else count
        if self._looked[:2] != (settings.sources, count):
            paths = [self._folder / file_of(run_id) for run_id in settings.sources]
            self._looked = (settings.sources, count, looks(paths, count))
        return self._looked[2]
