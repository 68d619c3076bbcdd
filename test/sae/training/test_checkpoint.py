"""A run that was interrupted ends like one that was not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae.objectives.training_settings import KINDS, TrainingSettings
from vla_sae_ros.sae.training.checkpoint import Checkpoint, run_id
from vla_sae_ros.sae.training.training import StepReport, Trainer, train

SETTINGS = TrainingSettings(
    24, k=3, normalization="none", batch_size=64, epochs=3, learning_rate=3e-3, dead_after_steps=5
)
SAMPLES = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)


class Interrupted(Exception):
    """The run was killed."""


def interrupted_after(step: int, checkpoint: Checkpoint, settings: TrainingSettings) -> None:
    """Train, saving before every step, and die at the beginning of `step` + 1."""

    def die(report: StepReport) -> None:
        if report.step == step:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(SAMPLES, settings, progress=False, checkpoint=checkpoint, log=die)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [2, 3, 7])  # four steps are an epoch
def test_a_resumed_run_has_the_loss_curve_and_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, kind: str, step: int
) -> None:
    settings = dataclasses.replace(SETTINGS, kind=kind)
    whole = train(SAMPLES, settings, progress=False)
    checkpoint = Checkpoint(tmp_path / "run", run_id(settings, SAMPLES), period=0.0)
    interrupted_after(step, checkpoint, settings)
    heard: list[int] = []
    again = train(
        SAMPLES,
        settings,
        progress=False,
        checkpoint=checkpoint,
        log=lambda report: heard.append(report.step),
    )
    assert heard == list(range(step, 12))
    assert again.fvu_history == whole.fvu_history
    for name, weight in whole.sae.stored_weights().items():
        assert torch.equal(weight, again.sae.stored_weights()[name])


def test_a_checkpoint_of_another_run_is_refused_and_kept(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "run", run_id(SETTINGS, SAMPLES), period=0.0)
    interrupted_after(2, checkpoint, SETTINGS)
    before = checkpoint.path.read_bytes()
    for settings, samples in (
        (dataclasses.replace(SETTINGS, seed=1), SAMPLES),
        (SETTINGS, SAMPLES + 1),
        (SETTINGS, SAMPLES[:-1]),
    ):
        other = Checkpoint(checkpoint.path, run_id(settings, samples))
        with pytest.raises(ConfigurationError, match="other settings, samples or start"):
            other.resume(Trainer(samples, settings, torch.device("cpu")))
    assert checkpoint.path.read_bytes() == before


def test_a_damaged_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "run", run_id(SETTINGS, SAMPLES), period=0.0)
    interrupted_after(2, checkpoint, SETTINGS)
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-100])
    with pytest.raises(ConfigurationError, match="damaged"):
        checkpoint.resume(Trainer(SAMPLES, SETTINGS, torch.device("cpu")))


def test_without_a_file_a_run_begins_at_its_beginning(tmp_path: Path) -> None:
    trainer = Trainer(SAMPLES, SETTINGS, torch.device("cpu"))
    Checkpoint(tmp_path / "run", "any").resume(trainer)
    assert trainer.step_number == 0
