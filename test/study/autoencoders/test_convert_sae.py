"""`vla-sae convert` on the tiny policy: what it measures, does not know and refuses."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from vla_sae_ros.activations.format import CollectedSite, Collection
from vla_sae_ros.activations.writer import ActivationWriter
from vla_sae_ros.core.errors import ConfigurationError, SteeringRefused
from vla_sae_ros.core.steering import Edit, Mode, Unit
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.sae import JumpReLUSAE, ReLUSAE, SaeBundle, TopKSAE
from vla_sae_ros.study.autoencoders import convert_sae

SITE, WIDTH, STEPS = "backbone.1", 48, 40
GROUPS = ("camera", "language", "state")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Two features per dimension, one for each sign: it reconstructs everything."""
    both = torch.cat([torch.eye(WIDTH), -torch.eye(WIDTH)])
    zeros = torch.zeros(2 * WIDTH)
    sae = ReLUSAE(both.T / 3.0, zeros, 3.0 * both, torch.zeros(WIDTH))
    sae.save(tmp_path / "foreign")
    return tmp_path / "foreign"


@pytest.fixture
def activations(tmp_path: Path, loaded: LoadedPolicy) -> tuple[Path, np.ndarray]:
    """A folder collected at SITE, and its rows."""
    rows = np.random.default_rng(0).standard_normal((STEPS, WIDTH)).astype(np.float32) * 4
    rows[:, 0] = np.abs(rows[:, 0])  # the feature against dimension 0 never fires
    sites = {SITE: CollectedSite(WIDTH, "mean", GROUPS)}
    with ActivationWriter(
        tmp_path / "activations", Collection(loaded.policy_id, "tiny", sites, 20.0)
    ) as writer:
        for step, row in enumerate(rows):
            context = {"episode_id": f"e{step // 10}", "step": step % 10, "residual_norm": 50.0}
            writer(SITE, row, context)
            if step % 10 == 9:
                writer.end_episode(success=True)
    return tmp_path / "activations", rows


def convert(checkpoint: Path, policy: Path, output: Path, *more: str, site: str = SITE) -> int:
    parser = argparse.ArgumentParser()
    convert_sae.add_arguments(parser)
    given = [str(checkpoint), "--policy", str(policy), "--site", site, "--output", str(output)]
    return convert_sae.run(parser.parse_args([*given, *more]))


def test_a_checkpoint_without_data_serves_and_says_what_it_does_not_know(
    checkpoint: Path,
    tiny_policy_folder: Path,
    loaded: LoadedPolicy,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert convert(checkpoint, tiny_policy_folder, tmp_path / "out", "--pooling", "token") == 0
    said = capsys.readouterr().out
    assert "SAELens foreign" in said and "observed maxima" in said and "--activations" in said
    bundle = SaeBundle.load(tmp_path / "out")
    assert bundle.card.token_groups == GROUPS
    assert math.isnan(bundle.residual_norm_activation)
    engine = PolicyEngine(loaded, [bundle])
    try:
        engine.warm_up()
        (site,) = engine.steering_sites()
    finally:
        engine.close()
    for unit in (Unit.OBSERVED_MAX, Unit.RESIDUAL_NORM):
        edit = Edit(feature=3, mode=Mode.CLAMP, value=1.0, site=SITE, unit=unit)
        with pytest.raises(SteeringRefused, match="--activations"):
            site.natural_value(edit)


def test_activations_tell_maxima_norms_and_how_well_it_fits(
    checkpoint: Path,
    tiny_policy_folder: Path,
    activations: tuple[Path, np.ndarray],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, rows = activations
    convert(checkpoint, tiny_policy_folder, tmp_path / "out", "--activations", str(folder))
    bundle = SaeBundle.load(tmp_path / "out")
    expected = np.concatenate([rows, -rows], axis=1).max(0).clip(min=0) / 3
    np.testing.assert_allclose(bundle.observed_max, expected, rtol=1e-5)
    assert bundle.card.pooling == "mean"
    assert bundle.card.metrics["fvu"] == pytest.approx(0.0, abs=1e-6)
    assert bundle.card.metrics["l0"] == pytest.approx(WIDTH)
    assert bundle.card.metrics["dead_share"] == pytest.approx(1 / (2 * WIDTH))
    assert bundle.catalogue.entries[WIDTH].feature_class == "dead"
    assert bundle.residual_norm_activation == pytest.approx(50.0)
    np.testing.assert_allclose(bundle.decoder_norm, 3.0)
    said = capsys.readouterr().out
    assert "FVU" in said and "40 samples of 4 episodes" in said and "Unknown" not in said


def test_an_sae_of_another_site_is_caught_by_its_fvu(
    tiny_policy_folder: Path, activations: tuple[Path, np.ndarray], tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(WIDTH, 60, generator=generator), torch.zeros(60)]
    other = TopKSAE(*weights, weights[0].T.clone(), torch.zeros(WIDTH), 5)
    other.save(tmp_path / "other")
    more = ["--activations", str(activations[0])]
    with pytest.raises(ConfigurationError, match=r"FVU .*another site"):
        convert(tmp_path / "other", tiny_policy_folder, tmp_path / "out", *more)
    assert not (tmp_path / "out").exists()
    convert(tmp_path / "other", tiny_policy_folder, tmp_path / "out", *more, "--max-fvu", "1e9")
    assert SaeBundle.load(tmp_path / "out").card.metrics["fvu"] > 1


def test_the_length_of_the_published_list_is_kept(tiny_policy_folder: Path, tmp_path: Path) -> None:
    sae = JumpReLUSAE(
        torch.ones(WIDTH, 300),
        torch.ones(300),
        torch.ones(300, WIDTH),
        torch.ones(WIDTH),
        torch.zeros(300),
    )
    sae.save(tmp_path / "wide")
    more = ["--pooling", "mean", "--listed-features", "200"]
    convert(tmp_path / "wide", tiny_policy_folder, tmp_path / "out", *more)
    bundle = SaeBundle.load(tmp_path / "out")
    assert bundle.sae.k == bundle.card.k == 200
    assert bundle.sae.architecture == "jumprelu"


@pytest.mark.parametrize(
    ("site", "more", "said"),
    [
        ("expert.1", ["--pooling", "mean"], r"width 48.*expert\.1.*width 36"),
        ("backbone.9", ["--pooling", "mean"], r"backbone\.9.*backbone\.1 \(48\)"),
        (SITE, [], "--pooling.*single tokens"),
        (SITE, ["--pooling", "mean", "--token-groups", "action"], "token groups.*action"),
        (SITE, ["--pooling", "mean", "--listed-features", "0"], "--listed-features"),
        (SITE, ["--pooling", "mean", "--activations", "nowhere"], "nowhere"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    checkpoint: Path,
    tiny_policy_folder: Path,
    tmp_path: Path,
    site: str,
    more: list[str],
    said: str,
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        convert(checkpoint, tiny_policy_folder, tmp_path / "out", *more, site=site)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--pooling", "token"], "pooling"),
        (["--token-groups", "camera"], "token groups"),
    ],
)
def test_activations_that_were_read_otherwise_are_refused(
    checkpoint: Path,
    tiny_policy_folder: Path,
    activations: tuple[Path, np.ndarray],
    tmp_path: Path,
    more: list[str],
    said: str,
) -> None:
    given = ["--activations", str(activations[0]), *more]
    with pytest.raises(ConfigurationError, match=said):
        convert(checkpoint, tiny_policy_folder, tmp_path / "out", *given)


def test_a_topk_sae_lists_its_k_and_a_bundle_is_never_overwritten(
    checkpoint: Path, tiny_policy_folder: Path, tmp_path: Path
) -> None:
    sae = TopKSAE(torch.ones(WIDTH, 8), torch.ones(8), torch.ones(8, WIDTH), torch.ones(WIDTH), 2)
    sae.save(tmp_path / "topk")
    given = ["--pooling", "mean", "--listed-features", "4"]
    with pytest.raises(ConfigurationError, match="TopK"):
        convert(tmp_path / "topk", tiny_policy_folder, tmp_path / "out", *given)
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigurationError, match="exists already"):
        convert(checkpoint, tiny_policy_folder, tmp_path / "out", "--pooling", "mean")


def event_sae(folder: Path) -> Path:
    """A folder as Event-SAE publishes them: what dictionary_learning's BatchTopK trainer writes."""
    generator = torch.Generator().manual_seed(3)
    rows = torch.nn.functional.normalize(torch.randn(WIDTH, WIDTH, generator=generator), dim=1)
    tensors = {
        "encoder.weight": rows,
        "encoder.bias": torch.zeros(WIDTH),
        "decoder.weight": rows.T.contiguous(),
        "b_dec": torch.full((WIDTH,), 0.1),
        "k": torch.tensor(8, dtype=torch.int),
        "threshold": torch.tensor(1.5),
    }
    trainer = {
        "trainer_class": "BatchTopKTrainer",
        "dict_class": "BatchTopKSAE",
        "lr": 1e-4,
        "steps": 15000,
        "auxk_alpha": 1 / 32,
        "threshold_beta": 0.999,
        "threshold_start_step": 1000,
        "activation_dim": WIDTH,
        "dict_size": WIDTH,
        "k": 8,
        "device": "cuda",
        "layer": 5,
        "lm_name": "pi05_libero",
        "wandb_name": "BatchTopKTrainer",
        "submodule_name": "post_mlp_residual",
    }
    folder.mkdir(parents=True)
    torch.save(tensors, folder / "ae.pt")
    (folder / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {}}))
    return folder


def test_event_sae_s_layout_converts_and_is_measured_with_one_command(
    tiny_policy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], loaded
) -> None:
    folder = event_sae(tmp_path / "openpi" / "libero_spatial" / "paligemma_l01")
    tokens = np.random.default_rng(0).standard_normal((6, 20, WIDTH)).astype(np.float32) * 2
    sites = {SITE: CollectedSite(WIDTH, "token", GROUPS)}
    collection = Collection(loaded.policy_id, "tiny", sites, 20.0)
    with ActivationWriter(tmp_path / "act", collection) as writer:
        for number, rows in enumerate(tokens):
            writer(SITE, rows, {"episode_id": f"e{number}", "step": 0, "residual_norm": 9.0})
            writer.end_episode(success=True)
    more = ["--activations", str(tmp_path / "act"), "--max-fvu", "1e9"]
    assert convert(folder, tiny_policy_folder, tmp_path / "out", *more) == 0
    card = SaeBundle.load(tmp_path / "out").card
    weights = torch.load(folder / "ae.pt", weights_only=True)
    flat = torch.from_numpy(tokens.reshape(-1, WIDTH))
    before = torch.relu((flat - weights["b_dec"]) @ weights["encoder.weight"].T)
    code = before * (before > weights["threshold"])
    left = flat - (code @ weights["decoder.weight"].T + weights["b_dec"])
    expected = left.square().sum() / (flat - flat.mean(0)).square().sum()
    assert card.metrics["fvu"] == pytest.approx(float(expected), rel=1e-4)
    assert card.metrics["l0"] == pytest.approx(float((code > 0).sum(1).float().mean()), rel=1e-4)
    assert card.pooling == "token"
    assert "FVU" in capsys.readouterr().out
