"""Bundles: saved whole, read back, refused by name where they do not fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from vla_sae_ros.core.catalogue import CATALOGUE_FILE, Catalogue, FeatureEntry
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import SaeBundle, TopKSAE
from vla_sae_ros.sae.bundle import BUNDLE_FILE, BundleCard

CARD = BundleCard(
    policy_id="0123abcd",
    policy_name="tiny",
    site="backbone.1",
    d_in=6,
    dictionary_size=10,
    k=2,
    pooling="mean",
    token_groups=("camera", "language"),
    normalization="layer_norm",
    mean_residual_norm=12.0,
    mean_scale=3.0,
    data={"training_episodes": 3},
    metrics={"fvu": 0.1},
)


@pytest.fixture
def bundle() -> SaeBundle:
    torch.manual_seed(0)
    sae = TopKSAE(
        torch.randn(6, 10), torch.zeros(10), torch.randn(10, 6), torch.randn(6), 2, "layer_norm"
    )
    entries = [FeatureEntry(0, "gripper closed", observed_max=2.5), FeatureEntry(9, observed_max=1)]
    return SaeBundle(sae, CARD, Catalogue("backbone.1", entries))


def test_a_saved_bundle_loads_as_it_was(bundle: SaeBundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "bundle")
    loaded = SaeBundle.load(tmp_path / "bundle")
    assert loaded.card == bundle.card
    assert loaded.catalogue == bundle.catalogue
    assert loaded.bundle_id == bundle.bundle_id
    x = torch.randn(3, 6)
    assert torch.equal(loaded.sae.encode(x), bundle.sae.encode(x))
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_observed_maxima_are_zero_where_nothing_is_known(bundle: SaeBundle) -> None:
    expected = np.zeros(10, np.float32)
    expected[[0, 9]] = 2.5, 1.0
    np.testing.assert_array_equal(bundle.observed_max, expected)


def test_a_code_of_the_residual_norm_moves_a_mean_sample_by_the_mean_norm(
    bundle: SaeBundle,
) -> None:
    row = torch.nn.functional.normalize(bundle.sae.W_dec[:1])
    moved = bundle.residual_norm_activation * row * CARD.mean_scale
    assert float(moved.norm()) == pytest.approx(CARD.mean_residual_norm)


def test_the_content_id_follows_weights_and_use_but_not_names(bundle: SaeBundle) -> None:
    relabelled = dataclasses.replace(bundle, catalogue=Catalogue("backbone.1", []))
    measured = dataclasses.replace(bundle, card=dataclasses.replace(CARD, metrics={"fvu": 0.2}))
    assert bundle.bundle_id == relabelled.bundle_id == measured.bundle_id
    tokens = dataclasses.replace(bundle, card=dataclasses.replace(CARD, pooling="token"))
    assert tokens.bundle_id != bundle.bundle_id
    before = bundle.bundle_id
    bundle.sae.W_dec[3, 3] += 1e-3
    assert bundle.bundle_id != before


def test_everything_that_does_not_fit_is_named(bundle: SaeBundle) -> None:
    bundle.check_fits("0123abcd", "backbone.1", 6)
    with pytest.raises(ConfigurationError) as refusal:
        bundle.check_fits("ffff", "backbone.1", 8)
    text = str(refusal.value)
    assert "policy id" in text and "ffff" in text and "width" in text and "8" in text
    assert "site (" not in text
    with pytest.raises(ConfigurationError, match=r"site.*expert\.0"):
        bundle.check_fits("0123abcd", "expert.0", 6)


def test_an_existing_folder_is_never_overwritten(bundle: SaeBundle, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    with pytest.raises(ConfigurationError, match="exists already"):
        bundle.save(tmp_path / "bundle")


def test_a_save_that_fails_leaves_nothing_behind(
    bundle: SaeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Catalogue, "save", fail)
    with pytest.raises(OSError, match="no space"):
        bundle.save(tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "format"),
        ({"site": "expert.0"}, "site in catalogue.json"),
        ({"d_in": 7}, "d_in in bundle.yaml"),
        ({"k": 3}, "k in bundle.yaml"),
        ({"normalization": "none"}, "normalization in bundle.yaml"),
        ({"pooling": "max"}, "pooling"),
        ({"token_groups": []}, "token_groups"),
        ({"mean_residual_norm": "large"}, "mean_residual_norm"),
        ({"mean_scale": float("inf")}, "mean_scale"),
        ({"policy_id": ""}, "policy_id"),
        ({"polcy": 1}, "polcy"),
    ],
)
def test_a_card_that_is_wrong_is_refused_by_field(
    bundle: SaeBundle, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    folder = tmp_path / "bundle"
    bundle.save(folder)
    card = yaml.safe_load((folder / BUNDLE_FILE).read_text())
    (folder / BUNDLE_FILE).write_text(yaml.safe_dump({**card, **change}))
    with pytest.raises(ConfigurationError, match=said):
        SaeBundle.load(folder)


def test_the_catalogue_of_a_larger_bundle_is_refused(bundle: SaeBundle) -> None:
    with pytest.raises(ConfigurationError, match="another bundle"):
        dataclasses.replace(bundle, catalogue=Catalogue("backbone.1", [FeatureEntry(10)]))


@pytest.mark.parametrize(
    "name", [BUNDLE_FILE, CATALOGUE_FILE, "cfg.json", "sae_weights.safetensors"]
)
def test_a_missing_file_is_named(bundle: SaeBundle, tmp_path: Path, name: str) -> None:
    bundle.save(tmp_path / "bundle")
    (tmp_path / "bundle" / name).unlink()
    with pytest.raises(ConfigurationError, match=name):
        SaeBundle.load(tmp_path / "bundle")
