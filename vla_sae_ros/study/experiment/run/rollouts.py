"""One closed-loop rollout, through the path that also serves and collects."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vla_sae_ros.activations.source import Moment
from vla_sae_ros.sim.environment import Layout, TaskSpec
from vla_sae_ros.study.experiment.design.settings import RunSettings
from vla_sae_ros.study.experiment.records.outcome import Result
from vla_sae_ros.study.experiment.records.timing import Timed
from vla_sae_ros.study.experiment.run.hooks import hooked
from vla_sae_ros.study.experiment.run.recorder import Recorder, actions_sha256
from vla_sae_ros.study.experiment.run.setup import Performers
from vla_sae_ros.study.experiment.run.traces import HookTraces
from vla_sae_ros.study.plots.mp4 import write_mp4
from vla_sae_ros.study.rollouts.playing import PlannedTrial, play_trial


def run_rollout(
    performers: Performers, settings: RunSettings, task: TaskSpec, filmed: bool = False
) -> Result:
    """Play one episode.

    Raises:
        SimulationError: the simulator failed; the performers cannot be trusted after that.
    """
    timed = Timed()
    scene = performers.scene()
    recorder, traces = Recorder(scene, filmed), HookTraces(settings.traced)
    hooks = hooked(performers, settings)

    def answer(moment: Moment) -> np.ndarray:
        snapshot = hooks.snapshot(recorder.inside(settings.window, moment.step))
        seed = (settings.noise_seeds[0], moment.step)
        inference = hooks.policy.infer(moment.frame, settings.instruction, seed, snapshot)
        traces.add(moment.step, inference)
        return inference.actions

    try:
        success = play_trial(
            scene,
            trial_of(settings, task),
            settings.steps,
            settings.execute_steps,
            answer,
            recorder.watch,
        )
    finally:
        hooks.policy.close()
    outcome = timed.outcome(
        success, len(recorder.actions), actions_sha256(recorder.actions), **traces.strength
    )
    video = film(recorder.pictures, scene.control_rate_hz) if filmed else b""
    return Result(outcome, recorder.trajectory(traces).to_bytes(), video)


def trial_of(settings: RunSettings, task: TaskSpec) -> PlannedTrial:
    """Return the episode of a rollout's settings."""
    pair = settings.pair
    assert pair is not None  # of a rollout
    exchange: Any = pair.exchanged or None
    layout = Layout(pair.moved_m, exchange)
    return PlannedTrial(task, pair.init_state, pair.seed, settings.steps, layout)


def film(pictures: Sequence[np.ndarray], rate: float) -> bytes:
    """Return an MP4 of pictures (H, W, 3) uint8."""
    height, width = pictures[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_mp4(path, (picture.tobytes() for picture in pictures), (width, height), rate)
        return path.read_bytes()
