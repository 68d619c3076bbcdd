"""One closed-loop rollout, through the path that also serves and collects."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vla_sae_ros.activations.source import PolicyQuery
from vla_sae_ros.sim.environment import Layout, TaskSpec
from vla_sae_ros.study.experiment.design.settings import RunSettings
from vla_sae_ros.study.experiment.records.outcome import Result
from vla_sae_ros.study.experiment.records.timing import Timed
from vla_sae_ros.study.experiment.run.acting import Acting
from vla_sae_ros.study.experiment.run.questions import Look
from vla_sae_ros.study.experiment.run.recorder import HookTraces, Recorder, actions_sha256
from vla_sae_ros.study.experiment.run.setup import RunSetup
from vla_sae_ros.study.plots.mp4 import write_mp4
from vla_sae_ros.study.rollouts.playing import play_trial
from vla_sae_ros.study.rollouts.trials import Trial


def run_rollout(
    setup: RunSetup,
    settings: RunSettings,
    task: TaskSpec,
    filmed: bool = False,
    donor: Sequence[Look] = (),
) -> Result:
    """Play one episode; donor: every inference of the episode that is played into it.

    Raises:
        SimulationError: the simulator failed; the setup cannot be trusted after that.
    """
    timed = Timed()
    scene = setup.scene()
    recorder, traces = Recorder(scene, filmed), HookTraces(settings.traced)
    policy, acting = setup.hooked(settings, donor), Acting(recorder, settings.window)

    def answer(query: PolicyQuery) -> np.ndarray:
        seed = (settings.noise_seeds[0], query.step)
        told = settings.instruction or query.instruction
        inference = policy.infer(query.frame, told, seed, acting.begins(query))
        acting.ends(query, inference)
        traces.add(query.step, inference)
        return inference.actions

    try:
        success = play_trial(
            scene,
            trial_of(settings, task),
            settings.execute_steps,
            answer,
            recorder.watch,
        )
    finally:
        policy.close()
    outcome = timed.outcome(
        success, len(recorder.actions), actions_sha256(recorder.actions), **traces.strength
    )
    video = film(recorder.pictures, scene.control_rate_hz) if filmed else b""
    return Result(outcome, recorder.trajectory(traces).to_bytes(), video)


def trial_of(settings: RunSettings, task: TaskSpec) -> Trial:
    """Return the episode of a rollout's settings."""
    pair = settings.pair
    assert pair is not None  # of a rollout
    exchange: Any = pair.exchanged or None
    layout = Layout(pair.moved_m, exchange)
    return Trial(task, pair.init_state, pair.seed, layout, max_steps=settings.steps)


def film(pictures: Sequence[np.ndarray], rate: float) -> bytes:
    """Return an MP4 of pictures (H, W, 3) uint8."""
    height, width = pictures[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_mp4(path, (picture.tobytes() for picture in pictures), (width, height), rate)
        return path.read_bytes()
