"""Directions read and write like an SAE's features, against arithmetic written out here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import Directions, SaeBundle
from vla_sae_ros.sae.bundle import BundleCard

WIDTH = 5
ROWS = torch.nn.functional.normalize(
    torch.tensor([[1.0, 2.0, 0.0, -1.0, 0.5], [0.0, 1.0, 1.0, 0.0, 0.0]]), dim=1
)
MEAN, SPREAD = torch.tensor([0.7, -2.0]), torch.tensor([0.25, 3.0])


def directions() -> Directions:
    return Directions.of_rows(ROWS, MEAN, SPREAD)


def card(kind: str = "directions", site: str = "backbone.1.directions") -> BundleCard:
    return BundleCard(
        "0123", "tiny", site, WIDTH, 2, 2, "mean", ("camera",), "none", 4.0, 1.0, kind=kind
    )


def test_a_code_is_the_projection_in_units_of_its_own_spread() -> None:
    x = torch.randn(7, WIDTH, generator=torch.Generator().manual_seed(1))
    expected = (x.numpy() @ ROWS.numpy().T - MEAN.numpy()) / SPREAD.numpy()
    np.testing.assert_allclose(directions().encode(x), expected, rtol=1e-5, atol=1e-5)
    assert (expected < 0).any()  # signs are kept


def test_a_change_of_a_code_moves_the_projection_by_as_many_spreads() -> None:
    x = torch.randn(WIDTH)
    moved = x + 2.5 * directions().W_dec[1]
    before, after = directions().encode(x), directions().encode(moved)
    assert float(after[1] - before[1]) == pytest.approx(2.5, rel=1e-5)
    beside = SPREAD[1] * (ROWS[0] @ ROWS[1]) / SPREAD[0]
    assert float(after[0] - before[0]) == pytest.approx(2.5 * float(beside), rel=1e-4)


def test_every_projection_is_listed_and_no_variance_is_claimed_to_be_explained() -> None:
    code = directions().encode_normalized(torch.randn(3, WIDTH))
    assert code.index.tolist() == [[0, 1]] * 3
    assert torch.equal(code.of(torch.tensor([1, 0])), code.value.flip(-1))
    assert torch.isnan(directions().fraction_unexplained(torch.randn(3, WIDTH), code))


def test_one_direction_alone_has_the_code_it_has_among_others() -> None:
    alone = directions().of_features(torch.tensor([1]))
    assert alone is not None
    x = torch.randn(4, WIDTH)
    torch.testing.assert_close(alone.encode(x), directions().encode(x)[:, 1:])


def test_a_bundle_of_directions_is_saved_and_read_back(tmp_path: Path) -> None:
    bundle = SaeBundle(directions(), card(), Catalogue("backbone.1.directions", []))
    bundle.save(tmp_path / "bundle")
    loaded = SaeBundle.load(tmp_path / "bundle")
    assert loaded.bundle_id == bundle.bundle_id
    assert loaded.card == bundle.card
    x = torch.randn(3, WIDTH)
    assert torch.equal(loaded.sae.encode(x), bundle.sae.encode(x))
    loaded.check_fits("0123", "backbone.1", WIDTH)


def test_directions_and_an_sae_cannot_be_taken_for_one_another() -> None:
    with pytest.raises(ConfigurationError, match="site of the SAE bundle"):
        card(site="backbone.1")
    with pytest.raises(ConfigurationError, match="site of the SAE bundle"):
        card(kind="sae")
    with pytest.raises(ConfigurationError, match=r"kind in bundle\.yaml"):
        SaeBundle(directions(), card("sae", "backbone.1"), Catalogue("backbone.1", []))
