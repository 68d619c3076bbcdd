"""Training stops where a loss is no number, and what cannot be measured is NaN, not an error."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from vla_sae_ros.sae import ReLUSAE
from vla_sae_ros.sae.objectives.training_settings import TrainingSettings
from vla_sae_ros.sae.training.checkpoint import run_id
from vla_sae_ros.sae.training.metrics import evaluate
from vla_sae_ros.sae.training.training import TrainingFailed, train

WIDTH = 8
SETTINGS = TrainingSettings(dictionary_size=16, k=2, batch_size=16, epochs=2)


def samples(count: int = 64) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, WIDTH)).astype(np.float32)


def test_training_stops_at_the_first_step_whose_loss_is_no_number_and_names_the_sample() -> None:
    """The scale is measured on 10,000 samples; this one is none of them and overflows float32."""
    x = samples(60_000)
    measured = np.random.default_rng(SETTINGS.seed).choice(60_000, 10_000, replace=False)
    freak = int(np.setdiff1d(np.arange(60_000), measured)[0])
    x[freak] = 3e38
    settings = replace(SETTINGS, normalization="none", batch_size=2000)
    with pytest.raises(TrainingFailed, match=rf"step \d+ .*contains 2000 .*sample {freak};"):
        train(x, settings, progress=False)


def test_a_batch_of_equal_samples_makes_no_nan() -> None:
    x = np.concatenate([samples(16), np.ones((1024, WIDTH), np.float32)])
    assert all(math.isfinite(fvu) for fvu in train(x, SETTINGS, progress=False).fvu_history)


def identity() -> ReLUSAE:
    eye = torch.eye(WIDTH)
    return ReLUSAE(W_enc=eye, b_enc=torch.zeros(WIDTH), W_dec=eye, b_dec=torch.zeros(WIDTH))


def test_the_fvu_of_one_sample_is_unknown() -> None:
    assert math.isnan(evaluate(identity(), samples(1)).fvu)


def test_sinks_do_not_hide_what_the_other_samples_lose() -> None:
    x = samples(120)
    plain = evaluate(identity(), x)
    assert plain.sink_share == 0 and plain.fvu_ordinary == plain.fvu > 0.3
    x[::12] = 1000.0  # positive: a ReLU loses nothing of these
    found = evaluate(identity(), x)
    assert found.sink_share == pytest.approx(1 / 12)
    assert found.fvu < 1e-3 and found.fvu_ordinary > 0.3


def test_padding_makes_no_sinks_of_the_other_samples() -> None:
    x = samples(120)
    x[::3] = x[1::3] = 0.0
    assert evaluate(identity(), x).sink_share == 0
    assert evaluate(identity(), np.zeros_like(x)).sink_share == 0


def test_one_changed_number_makes_another_run() -> None:
    x = samples(5000)
    before = run_id(SETTINGS, x)
    x[4321, 3] += 1e-3
    assert run_id(SETTINGS, x) != before
    assert run_id(SETTINGS, x, identity()) != run_id(SETTINGS, x)
