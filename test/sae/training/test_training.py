"""Promises a trainer can fail."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from patience import PATIENCE

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae.formats.saelens import load_sae
from vla_sae_ros.sae.objectives.choice import objective_for
from vla_sae_ros.sae.objectives.gradients import Step, only_here
from vla_sae_ros.sae.objectives.training_settings import KINDS, TrainingSettings
from vla_sae_ros.sae.training.geometric_median import geometric_median
from vla_sae_ros.sae.training.metrics import evaluate
from vla_sae_ros.sae.training.processes import Processes
from vla_sae_ros.sae.training.training import Trainer, train

SMALL = TrainingSettings(
    24, k=3, normalization="none", batch_size=64, epochs=3, learning_rate=3e-3, dead_after_steps=10
)


def planted(samples: int, d: int, features: int, active: int) -> tuple[np.ndarray, np.ndarray]:
    """Sparse positive mixtures of known unit directions: samples (n, d) and directions (F, d)."""
    random = np.random.default_rng(0)
    directions = random.standard_normal((features, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    code = np.zeros((samples, features))
    chosen = random.random((samples, features)).argsort(axis=1)[:, :active]
    np.put_along_axis(code, chosen, random.uniform(0.5, 1.5, chosen.shape), axis=1)
    return (code @ directions).astype(np.float32), directions


@pytest.mark.parametrize(
    ("kind", "matched"), [("topk", 0.95), ("batchtopk", 0.95), ("relu", 0.95), ("jumprelu", 0.7)]
)
def test_a_planted_dictionary_is_recovered(kind: str, matched: float) -> None:
    samples, directions = planted(20_000, 32, 64, 3)
    settings = TrainingSettings(
        64,
        kind=kind,
        k=3,
        normalization="none",
        batch_size=256,
        epochs=30,
        learning_rate=5e-3,
        aux_coefficient=1 / 4,
        dead_after_steps=20,
    )
    trained = train(samples, settings, progress=False)
    best = (directions @ trained.sae.W_dec.numpy().T).max(axis=1)
    assert (best >= 0.95).mean() >= matched
    assert trained.dead_features <= 0.05 * 64
    assert evaluate(trained.sae, samples).l0 < 8
    assert trained.fvu_history[-1] < trained.fvu_history[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalization", ["none", "layer_norm"])
def test_decoder_rows_stay_unit(normalization: str, kind: str) -> None:
    samples = planted(640, 16, 24, 3)[0] * 50 + 20
    settings = dataclasses.replace(SMALL, normalization=normalization, kind=kind)
    sae = train(samples, settings, progress=False).sae
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(24))


@pytest.mark.parametrize("kind", KINDS)
def test_the_history_ends_at_the_fvu_of_the_result(kind: str) -> None:
    samples = planted(640, 16, 24, 3)[0] * 50 + 20
    settings = dataclasses.replace(SMALL, epochs=20, kind=kind)
    trained = train(samples, settings, progress=False)
    # BatchTopK serves with a running mean of its thresholds, which lags behind in a short run.
    share = 0.25 if kind == "batchtopk" else 0.1
    assert evaluate(trained.sae, samples).fvu == pytest.approx(trained.fvu_history[-1], rel=share)


def test_the_loss_curve_is_that_of_a_dense_step_to_rounding() -> None:
    """Each batch is all samples, so that the shuffle plays no part."""
    samples, _ = planted(256, 16, 32, 3)
    settings = dataclasses.replace(SMALL, batch_size=256, epochs=60, aux_coefficient=0.0)
    trainer = Trainer(samples, settings, torch.device("cpu"))
    centre = trainer.result().b_dec
    x = torch.from_numpy(samples) - centre
    x /= x.square().mean().sqrt()
    weights = [trainer.state().tensors[f"weight.{n}"].clone().requires_grad_() for n in range(3)]
    encoder, decoder, bias = weights
    optimiser = torch.optim.Adam(weights, eps=6.25e-10)
    for step in range(60):
        value, index = ((x - bias) @ encoder.T).topk(settings.k)
        code = torch.zeros(256, settings.dictionary_size).scatter(1, index, value.relu())
        fvu = (code @ decoder + bias - x).square().sum() / (x - x.mean(0)).square().sum()
        optimiser.zero_grad()
        fvu.backward()
        with torch.no_grad():
            decoder.grad -= (decoder.grad * decoder).sum(1, keepdim=True) * decoder
            torch.nn.utils.clip_grad_norm_(weights, settings.clip_norm)
            optimiser.param_groups[0]["lr"] = settings.rate_at(step, 60)
            optimiser.step()
            decoder /= decoder.norm(dim=1, keepdim=True)
        torch.testing.assert_close(trainer.advance().fvu, fvu.detach(), rtol=1e-4, atol=0)
    assert trainer.fvu_history[-1] < 0.6 * trainer.fvu_history[0]


def test_the_size_and_offset_of_the_activations_do_not_change_what_is_learnt() -> None:
    samples = planted(640, 16, 24, 3)[0]
    first = train(samples, SMALL, progress=False).sae
    second = train(samples * 1000 + 5, SMALL, progress=False).sae
    torch.testing.assert_close(first.W_dec, second.W_dec, atol=1e-2, rtol=0)


def test_the_same_seed_gives_the_same_weights_and_another_one_others() -> None:
    samples = planted(640, 16, 24, 3)[0]
    first, again = (train(samples, SMALL, progress=False).sae for _ in range(2))
    other = train(samples, dataclasses.replace(SMALL, seed=1), progress=False).sae
    for name in ("W_enc", "W_dec", "b_dec"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.W_dec, other.W_dec)


@pytest.mark.parametrize(("coefficient", "revived"), [(1 / 32, True), (0.0, False)])
def test_the_auxiliary_loss_resurrects_dead_latents(coefficient: float, revived: bool) -> None:
    samples = planted(2_000, 16, 24, 3)[0]
    settings = dataclasses.replace(SMALL, aux_coefficient=coefficient, epochs=60)
    trainer = Trainer(samples, settings, torch.device("cpu"))
    # Encoders this short never reach the top k by themselves.
    trainer._objective.weights[0][:12] *= 1e-3
    dead = []
    for _ in range(15 * trainer.steps_per_epoch):
        trainer.advance()
        dead.append(trainer.dead_count())
    assert max(dead) >= 8
    assert (dead[-1] <= 2) is revived


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalization", ["none", "layer_norm"])
def test_training_begins_at_the_autoencoder_it_is_given(
    tmp_path: Path, kind: str, normalization: str
) -> None:
    """One read from a file, on samples with another centre and scale than it was trained on."""
    samples = planted(640, 16, 24, 3)[0]
    settings = dataclasses.replace(SMALL, kind=kind, normalization=normalization)
    train(samples, settings, progress=False).sae.save(tmp_path)
    start = load_sae(tmp_path, "cpu")
    begun = Trainer(samples * 3 + 7, settings, torch.device("cpu"), start=start).result()
    x = torch.from_numpy(samples)
    torch.testing.assert_close(begun.encode(x), start.encode(x), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(begun.reconstruct(x), start.reconstruct(x), atol=1e-3, rtol=1e-3)


def test_a_feature_keeps_its_number_when_the_samples_change_a_little() -> None:
    samples, _ = planted(5_000, 32, 64, 3)
    settings = dataclasses.replace(SMALL, dictionary_size=64, epochs=20)
    start = train(samples, settings, progress=False).sae
    turn = np.eye(32) + 0.02 * np.random.default_rng(1).standard_normal((32, 32))
    turned = (samples @ turn).astype(np.float32)
    sae = train(turned, settings, progress=False, start=start).sae
    cold = train(turned, dataclasses.replace(settings, seed=1), progress=False).sae
    same = [torch.cosine_similarity(start.W_dec, one.W_dec, dim=1) for one in (sae, cold)]
    assert same[0].median() > 0.9 and same[1].median() < 0.5
    assert evaluate(sae, turned).fvu < evaluate(start, turned).fvu


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "relu"}, "architecture"),
        ({"dictionary_size": 25}, "dictionary size"),
        ({"normalization": "layer_norm"}, "normalization"),
    ],
)
def test_an_autoencoder_of_another_training_is_no_start(change: dict[str, Any], said: str) -> None:
    samples = planted(640, 16, 24, 3)[0]
    start = train(samples, SMALL, progress=False).sae
    with pytest.raises(ConfigurationError, match=f"{said} of the SAE to start from"):
        train(samples, dataclasses.replace(SMALL, **change), progress=False, start=start)
    with pytest.raises(ConfigurationError, match="width of the SAE to start from"):
        train(samples[:, :8], SMALL, progress=False, start=start)
    biased = start.remade({**start.stored_weights(), "b_enc": torch.ones(24)}, True)
    with pytest.raises(ConfigurationError, match="b_enc other than 0"):
        train(samples, SMALL, progress=False, start=biased)


def test_samples_are_read_by_row_from_a_memory_map(tmp_path: object) -> None:
    samples = planted(640, 16, 24, 3)[0]
    path = f"{tmp_path}/samples.npy"
    np.save(path, samples)
    mapped = train(np.load(path, mmap_mode="r"), SMALL, progress=False).sae
    assert torch.equal(mapped.W_dec, train(samples, SMALL, progress=False).sae.W_dec)


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros((1, 4), np.float32), "shape"),
        (np.zeros((8, 4, 2), np.float32), "shape"),
        (np.ones((8, 4), np.float32), "spread"),
        (np.where(np.arange(32).reshape(8, 4) == 13, np.nan, 1.0).astype(np.float32), "Sample 3"),
    ],
)
def test_samples_that_cannot_be_learnt_from_are_refused(samples: np.ndarray, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        train(samples, SMALL, progress=False)


@pytest.mark.parametrize(
    "change",
    [
        {"k": 25},
        {"k": 0},
        {"epochs": 0},
        {"learning_rate": 2.0},
        {"warm_up_share": 0.9},
        {"aux_k": 0},
        {"kind": "gated"},
        {"sparsity": 0.1},
        {"kind": "relu", "sparsity": 0.0},
    ],
)
def test_settings_out_of_range_are_refused_by_name(change: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=list(change)[-1]):
        dataclasses.replace(SMALL, **change)  # type: ignore[arg-type]


def test_the_geometric_median_ignores_a_few_huge_samples() -> None:
    random = np.random.default_rng(0)
    points = torch.from_numpy(random.standard_normal((500, 4)))
    spoilt = points.clone()
    spoilt[:20] += 1e4
    assert float((geometric_median(spoilt) - points.mean(0)).norm()) < 0.3
    line = torch.tensor([[0.0], [1.0], [7.0]], dtype=torch.float64)
    assert float(geometric_median(line)) == pytest.approx(1.0, abs=1e-3)


def test_metrics_are_those_of_their_definitions() -> None:
    samples = planted(500, 16, 24, 3)[0] * 3 + 100
    sae = train(samples, dataclasses.replace(SMALL, normalization="layer_norm"), progress=False).sae
    metrics = evaluate(sae, samples, batch_size=77)
    x = torch.from_numpy(samples).double()
    code = sae.encode(x.float())
    error = (x - sae.reconstruct(x.float()).double()).square().sum()
    assert metrics.fvu == pytest.approx(float(error / (x - x.mean(0)).square().sum()), rel=1e-4)
    assert metrics.l0 == pytest.approx(float((code > 0).sum(1).double().mean()))
    assert metrics.dead_share == pytest.approx(float((~(code > 0).any(0)).double().mean()))
    assert metrics.mean_norm == pytest.approx(float(x.norm(dim=1).mean()), rel=1e-6)
    np.testing.assert_allclose(metrics.density, (code > 0).double().mean(0).numpy())


def test_metrics_need_samples_and_know_no_fvu_where_none_vary() -> None:
    sae = train(planted(200, 16, 24, 3)[0], SMALL, progress=False).sae
    with pytest.raises(ConfigurationError):
        evaluate(sae, np.zeros((0, 16), np.float32))
    assert np.isnan(evaluate(sae, np.ones((4, 16), np.float32)).fvu)


@pytest.mark.parametrize("kind", ["topk", "jumprelu"])
def test_two_processes_would_sum_to_the_whole_batch(kind: str) -> None:
    """Each half of a batch, with totals exchanged by a recording of the other half's."""
    samples = planted(64, 16, 24, 3)[0]
    settings = dataclasses.replace(SMALL, kind=kind)
    x = torch.from_numpy(samples)
    dead = torch.arange(24) < 5
    whole = objective_for(settings, 16, torch.device("cpu")).step(x, dead, only_here)
    halves = _Together(2)
    parts = halves.run(
        lambda rank, total: objective_for(settings, 16, torch.device("cpu")).step(
            x[rank::2], dead, total
        )
    )
    for part in parts:
        torch.testing.assert_close(part.fvu, whole.fvu)
        torch.testing.assert_close(part.auxiliary, whole.auxiliary)
        torch.testing.assert_close(part.fired, whole.fired)
        for got, expected in zip(part.gradients, whole.gradients, strict=True):
            torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-4)


class _Together:
    """Threads in the place of processes: `total` waits for all and sums what they bring."""

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count, timeout=PATIENCE)
        self._brought: list[torch.Tensor | None] = [None] * count

    def run(self, work: Callable[[int, Callable], Step]) -> list[Step]:
        with ThreadPoolExecutor(len(self._brought)) as pool:
            ranks = range(len(self._brought))
            return list(pool.map(lambda rank: work(rank, partial(self._total, rank)), ranks))

    @torch.no_grad()
    def _total(self, rank: int, tensor: torch.Tensor) -> torch.Tensor:
        self._brought[rank] = tensor.clone()
        self._barrier.wait()
        summed = torch.stack([one for one in self._brought if one is not None]).sum(0)
        self._barrier.wait()
        return tensor.copy_(summed)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    samples = planted(640, 16, 24, 3)[0]
    with pytest.raises(ConfigurationError, match="multiple of the 3"):
        Trainer(samples, SMALL, torch.device("cpu"), Processes(0, 3))
    batch = dataclasses.replace(SMALL, kind="batchtopk")
    with pytest.raises(ConfigurationError, match="batchtopk"):
        Trainer(samples, batch, torch.device("cpu"), Processes(0, 2))
