"""The plot shows what it should and nothing is cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vla_sae_ros.study import colours
from vla_sae_ros.study.bag_reading import Bag, read_bag
from vla_sae_ros.study.feature_choice import chosen_features
from vla_sae_ros.study.traces_plot import write_traces_plot


@pytest.fixture(scope="module")
def bag(synthetic_bag: Path) -> Bag:
    return read_bag(synthetic_bag)


def close_to(picture: np.ndarray, colour: str) -> int:
    return int((np.abs(picture.astype(int) - colours.rgb(colour)).max(axis=2) < 4).sum())


def test_edited_features_come_first_then_the_strongest_by_observed_maximum(bag: Bag) -> None:
    names = chosen_features(bag.episodes[1], bag.catalogues, 3)
    assert names == [("backbone.1", 7), ("backbone.1", 3), ("backbone.1", 11)]
    assert chosen_features(bag.episodes[0], bag.catalogues, 1) == [("backbone.1", 3)]


def test_the_picture_has_traces_and_a_free_margin(bag: Bag, tmp_path: Path) -> None:
    path = tmp_path / "new" / "traces.png"
    write_traces_plot(path, bag.episodes[1], bag.catalogues, plain=bag.episodes[0])
    picture = np.asarray(Image.open(path).convert("RGB"))
    assert picture.shape == (850, 1300, 3)
    assert close_to(picture, colours.BLUE) > 500
    border = np.concatenate([picture[:3].reshape(-1, 3), picture[-3:].reshape(-1, 3),
                             picture[:, :3].reshape(-1, 3), picture[:, -3:].reshape(-1, 3)])
    assert (border == 255).all()


def test_steering_is_shaded_only_where_it_acted(bag: Bag, tmp_path: Path) -> None:
    shaded = []
    for number, trace in enumerate(bag.episodes):
        write_traces_plot(tmp_path / f"{number}.png", trace, bag.catalogues)
        picture = np.asarray(Image.open(tmp_path / f"{number}.png").convert("RGB")).astype(int)
        yellow = (picture[..., 0] > 240) & (picture[..., 2] < 200) & (picture[..., 1] > 220)
        shaded.append(int(yellow.sum()))
    assert shaded[0] == 0 and shaded[1] > 20_000
