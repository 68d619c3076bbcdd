"""`vla-sae direct` on episodes in which one direction, and nothing else, tells what is asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.format import CollectedSite, Collection
from vla_sae_ros.activations.writer import ActivationWriter
from vla_sae_ros.cli import main
from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import SaeBundle, TopKSAE
from vla_sae_ros.sae.bundle import BundleCard
from vla_sae_ros.study.directions.command import divided
from vla_sae_ros.study.directions.evidence import Samples, best_feature
from vla_sae_ros.study.directions.fitting import (
    Probe,
    chosen_probe,
    conceptor_rows,
    mean_difference,
)
from vla_sae_ros.study.directions.scores import scores
from vla_sae_ros.study.directions.targets import make_target

WIDTH, SITE, EPISODES, STEPS = 12, "backbone.1", 40, 15
GOOD = np.eye(WIDTH)[0]
HEIGHT = np.array([0.0, 3.0, 4.0] + [0.0] * (WIDTH - 3)) / 5.0
SOUP, BUTTER = "pick up the soup", "pick up the butter"
APART = np.eye(WIDTH)[5]


@pytest.fixture(scope="module")
def activations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise; along GOOD whether the episode will succeed, along HEIGHT how high the hand is."""
    folder, draw = tmp_path_factory.mktemp("act") / "activations", np.random.default_rng(3)
    sites = {SITE: CollectedSite(WIDTH, "mean", ("camera",))}
    with ActivationWriter(folder, Collection("0123", "tiny", sites, 20.0)) as writer:
        for number in range(EPISODES):
            success, soup = bool(number % 3), bool(number % 2)
            for step in range(STEPS):
                height = float(draw.uniform(0.8, 1.2))
                x = draw.normal(size=WIDTH)
                x += (3.0 if success else -3.0) * GOOD + 10.0 * (height - 1.0) * HEIGHT
                x += (2.0 if soup else -2.0) * APART
                context = {
                    "episode_id": f"e{number}",
                    "step": 5 * step,
                    "task": f"libero_object {int(soup)}",
                    "instruction": SOUP if soup else BUTTER,
                    "state": (0.0, 0.0, height, 0.0, 0.0, 0.0, 0.02, -0.02),
                }
                writer(SITE, x, context)
            writer.end_episode(success=success)
    return folder


def run(activations: Path, out: Path, *more: str) -> SaeBundle:
    assert main(["direct", str(activations), "--out", str(out), "--site", SITE, *more]) == 0
    return SaeBundle.load(out)


def cosine(bundle: SaeBundle, row: int, direction: np.ndarray) -> float:
    decoded = bundle.sae.W_dec[row].numpy()
    return float(decoded @ direction / np.linalg.norm(decoded))


def test_planted_directions_are_found_and_scored_on_held_out_episodes(
    activations: Path, tmp_path: Path
) -> None:
    bundle = run(
        activations,
        tmp_path / "found",
        *("--mean-difference", "success", "--probe", "end-effector height"),
        *("--mean-difference", f'instruction "{SOUP}" - instruction "{BUTTER}"'),
        *("--mean-difference", "end-effector height"),
    )
    assert cosine(bundle, 0, GOOD) > 0.97
    assert cosine(bundle, 1, APART) > 0.97
    assert cosine(bundle, 2, HEIGHT) > 0.9  # a mean difference also has what varies by chance
    assert cosine(bundle, 3, HEIGHT) > 0.97
    found = bundle.card.data["directions"]
    assert [one["measure"] for one in found] == ["AUROC", "AUROC", "r", "r"]
    assert found[0]["score"] > 0.99
    assert abs(found[0]["shuffled_mean"] - 0.5) < 0.2
    for height, least in zip(found[2:], (0.6, 0.7), strict=True):
        assert least < height["score"] <= 1.0
        assert height["shuffled_95"] < height["score"]
    held_out = set(bundle.card.data["held_out_episodes"])
    assert len(held_out) == found[0]["episodes"] == 12
    assert bundle.card.site == "backbone.1.directions"
    assert bundle.catalogue.entries[0].label == "mean difference: success"
    assert "AUROC" in bundle.catalogue.entries[0].description


def test_projections_have_mean_0_and_spread_1_over_the_training_steps(
    activations: Path, tmp_path: Path
) -> None:
    bundle = run(activations, tmp_path / "found", "--probe", "success")
    parts = divided(ActivationDataset.open(activations), SITE, 0.3, 0)
    rows = torch.from_numpy(parts.training.data.rows[0 : len(parts.training.data.rows)])
    code = bundle.sae.encode(rows).numpy()
    np.testing.assert_allclose(code.mean(0), 0.0, atol=1e-3)
    np.testing.assert_allclose(code.std(0), 1.0, atol=1e-3)


def test_a_conceptor_gives_the_leading_rows_of_its_steps(activations: Path, tmp_path: Path) -> None:
    bundle = run(activations, tmp_path / "found", "--conceptor", "success", "--rank", "2")
    assert [one.label for one in bundle.catalogue.entries] == [
        "conceptor: success 1",
        "conceptor: success 2",
    ]
    rows = torch.nn.functional.normalize(bundle.sae.W_dec, dim=1)
    assert abs(float(rows[0] @ rows[1])) < 1e-4


def test_the_best_single_feature_of_an_sae_is_scored_beside(
    activations: Path, tmp_path: Path
) -> None:
    sae = TopKSAE(
        torch.eye(WIDTH), torch.zeros(WIDTH), torch.eye(WIDTH), torch.zeros(WIDTH), WIDTH, "none"
    )
    card = BundleCard(
        "0123", "tiny", SITE, WIDTH, WIDTH, WIDTH, "mean", ("camera",), "none", 1.0, 1.0
    )
    SaeBundle(sae, card, Catalogue(SITE, [])).save(tmp_path / "sae")
    sae_option = ("--sae", str(tmp_path / "sae"))
    bundle = run(activations, tmp_path / "found", "--probe", "success", *sae_option)
    best = bundle.card.data["directions"][0]["feature"]
    assert best["feature"] == 0
    assert best["score"] > 0.95


def test_a_feature_that_falls_with_the_target_counts_like_one_that_rises() -> None:
    sae = TopKSAE(-torch.eye(2), torch.zeros(2), -torch.eye(2), torch.zeros(2), 2, "none")
    card = BundleCard("0123", "tiny", SITE, 2, 2, 2, "mean", ("camera",), "none", 1.0, 1.0)
    bundle = SaeBundle(sae, card, Catalogue(SITE, []))
    x = np.array([[-2.0, 0.0], [-1.0, 0.1], [1.0, 0.0], [2.0, 0.1]])
    samples = Samples(x, np.array([0.0, 0.0, 1.0, 1.0]), np.arange(4))
    assert best_feature(bundle, samples, samples).score == pytest.approx(1.0)


def test_what_cannot_be_fitted_is_refused_and_nothing_is_written(
    activations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for given, said in (
        ((), "directions asked for"),
        (("--probe", "colour"), "state variable"),
        (("--conceptor", "end-effector height"), "fit a --probe"),
        (("--mean-difference", "success - sunshine"), "sunshine"),
        (("--conceptor", "success", "--rank", "99"), "--rank"),
        (("--probe", "success", "--held-out", "0.01"), "at least two different ones"),
    ):
        out = tmp_path / "none"
        arguments = ["direct", str(activations), "--out", str(out), "--site", SITE, *given]
        assert main(arguments) == 2
        assert said in capsys.readouterr().err
        assert not out.exists()


def test_a_part_of_a_name_is_enough_where_only_one_has_it(activations: Path) -> None:
    parts = divided(ActivationDataset.open(activations), SITE, 0.3, 0)
    assert make_target("vertical", parts, binary=False).name == "vertical speed"
    with pytest.raises(ConfigurationError, match="a part that only one of them has"):
        make_target("end-effector", parts, binary=False)


def test_the_numbers_of_a_state_have_the_names_that_the_collection_gives_them(
    activations: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(activations, tmp_path / "named")
    said = json.loads((folder / "collection.json").read_text())
    said["state_names"] = ["j1", "j2", "lift", "j3", "j4", "j5", "j6", "j7"]
    (folder / "collection.json").write_text(json.dumps(said))
    assert cosine(run(folder, tmp_path / "found", "--probe", "lift"), 0, HEIGHT) > 0.9


def test_the_auroc_is_the_share_of_pairs_in_order() -> None:
    draw = np.random.default_rng(0)
    values, target = draw.integers(0, 5, (30, 3)).astype(float), draw.integers(0, 2, 30) * 1.0
    for column, found in zip(values.T, scores(values, target), strict=True):
        pairs = [
            1.0 if one > other else 0.5 if one == other else 0.0
            for one in column[target == 1]
            for other in column[target == 0]
        ]
        assert found == pytest.approx(np.mean(pairs))


def test_pearsons_r_is_numpys() -> None:
    draw = np.random.default_rng(1)
    values, target = draw.normal(size=(20, 2)), draw.normal(size=20)
    for column, found in zip(values.T, scores(values, target), strict=True):
        assert found == pytest.approx(np.corrcoef(column, target)[0, 1])


def test_fits_are_those_of_their_definitions() -> None:
    draw = np.random.default_rng(2)
    x, target = draw.normal(size=(50, 4)), (draw.random(50) > 0.4).astype(float)
    difference = x[target == 1].mean(0) - x[target == 0].mean(0)
    expected = difference / np.linalg.norm(difference)
    np.testing.assert_allclose(mean_difference(x, target[:, None])[0], expected)
    number = draw.normal(size=50)
    slope = np.linalg.lstsq(np.stack([number, np.ones(50)], axis=1), x, rcond=None)[0][0]
    np.testing.assert_allclose(
        mean_difference(x, number[:, None])[0], slope / np.linalg.norm(slope)
    )
    least = np.linalg.lstsq(x - x.mean(0), target - target.mean(), rcond=None)[0]
    np.testing.assert_allclose(
        Probe(1e-12)(x, target[:, None])[0], least / np.linalg.norm(least), atol=1e-6
    )
    inside = x[target == 1] - x.mean(0)
    values, vectors = np.linalg.eigh(inside.T @ inside)
    leading = conceptor_rows(x, target[:, None], 2)
    for row, vector in zip(leading, vectors.T[::-1][:2], strict=True):
        assert abs(float(row @ vector)) == pytest.approx(1.0)
    assert values[-1] >= values[-2]


def test_a_probe_of_few_noisy_samples_is_held_back_more_than_one_of_many() -> None:
    draw = np.random.default_rng(4)

    def penalty(count: int, noise: float) -> float:
        x = draw.normal(size=(count, 30))
        target = x[:, :1] + noise * draw.normal(size=(count, 1))
        return float(np.log10(chosen_probe(x, target, np.arange(count) // 5).penalty))

    few = [penalty(40, 3.0) for _ in range(20)]
    many = [penalty(1000, 0.01) for _ in range(5)]
    assert np.mean(few) > np.mean(many)
