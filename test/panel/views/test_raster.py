"""All features as one picture."""

from __future__ import annotations

import numpy as np
import pytest
from PyQt5.QtCore import QPoint, Qt
from PyQt5.QtGui import QColor, QPalette

from vla_sae_ros.panel.views.raster import Spot
from vla_sae_ros.panel.views.raster_view import RasterView
from vla_sae_ros.panel.views.shade_map import shade_colours


@pytest.fixture
def view(qtbot, context) -> RasterView:
    result = RasterView(context)
    qtbot.addWidget(result)
    result.resize(500, 260)
    with qtbot.waitExposed(result):
        result.show()
    return result


def shown(view: RasterView) -> np.ndarray:
    """Return the shades (rows, columns), oldest first."""
    ring = view.raster._ring
    return np.concatenate([ring.pixels[:, ring.split :], ring.pixels[:, : ring.split]], axis=1)


def test_every_inference_is_one_column_and_every_feature_one_row(view, store, infer) -> None:
    view.refresh(store, 0.0)
    for step, feature in enumerate((0, 1, 2)):
        infer({feature: (2.0, 2.0)}, float(step))
        view.refresh(store, 0.0)
    picture = shown(view)
    assert picture.shape[0] == 8
    lit = [np.flatnonzero(column).tolist() for column in picture[:, -3:].T]
    assert lit == [[0, 4], [1, 5], [2, 6]]
    assert not picture[:, :-3].any()


def test_a_site_that_comes_later_joins_the_column_of_its_inference(
    view, store, client, make_activations
) -> None:
    for site in ("backbone.1", "expert.0"):
        client.incoming.activations.put(make_activations(site, {1: (2.0, 2.0)}, 1, 1.0))
        store.take(client.incoming)
        view.refresh(store, 0.0)
    picture = shown(view)
    assert np.flatnonzero(picture[:, -1]).tolist() == [1, 5]
    assert not picture[:, :-1].any()


def test_what_came_while_the_view_was_hidden_is_there_when_it_is_shown(view, store, infer) -> None:
    for step in range(5):
        infer({step % 3: (2.0, 2.0)}, float(step))
    view.refresh(store, 0.0)
    assert [np.flatnonzero(column)[0] for column in shown(view)[:, -5:].T] == [0, 1, 2, 0, 1]


def test_resizing_keeps_the_past(view, store, infer, qtbot) -> None:
    for step in range(5):
        infer({step % 3: (2.0, 2.0)}, float(step))
    view.refresh(store, 0.0)
    view.resize(400, 180)
    qtbot.waitUntil(lambda: view.raster.outgrown)
    view.refresh(store, 0.0)
    assert np.count_nonzero(shown(view).any(axis=0)) == 5


def test_more_frames_than_columns_show_the_newest(view, store, infer) -> None:
    view.refresh(store, 0.0)
    columns = view.raster.columns
    for step in range(columns + 10):
        infer({1: (2.0, 2.0)} if step < 12 else {2: (2.0, 2.0)}, float(step))
    view.refresh(store, 0.0)
    picture = shown(view)
    assert picture[1].astype(bool).sum() == 2 and picture[2].all(
        where=[False] * 2 + [True] * (columns - 2)
    )


def test_a_click_selects_the_strongest_feature_under_the_pointer(
    view, store, client, make_catalogue, infer, qtbot
) -> None:
    client.incoming.catalogues.put("", make_catalogue(size=5000))
    store.take(client.incoming)
    infer({4001: (0.2, 0.2), 4002: (2.0, 2.0)}, 1.0)
    view.refresh(store, 0.0)
    area = view.raster._area()
    y = area.top() + (5000 + 4002.5) / 10_000 * area.height()
    qtbot.mouseClick(
        view.raster, Qt.MouseButton.LeftButton, pos=QPoint(int(area.right() - 1), int(y))
    )
    assert store.selected == ("expert.0", 4002)
    view.refresh(store, 0.0)
    assert not view.grab().isNull()


def test_the_tooltip_names_the_strongest_feature_and_says_how_many_share_the_line(
    view, store, infer
) -> None:
    infer({1: (1.0, 1.0), 2: (2.0, 2.0)}, 1.0)
    view.refresh(store, 0.0)
    assert view.words(Spot(1, 2, 0)) == "backbone.1 #1  hand above basket  0.50"
    assert view.words(Spot(0, 4, 0)).startswith("backbone.1 #2  soup in view  1.00   (the strong")
    assert view.words(Spot(0, 1, 99)).endswith("0.00")


def test_another_policy_starts_an_empty_picture(view, store, client, make_catalogue, infer) -> None:
    infer({1: (2.0, 2.0)}, 1.0)
    view.refresh(store, 0.0)
    client.incoming.catalogues.put("", make_catalogue(size=9, policy="policy-b"))
    store.take(client.incoming)
    view.refresh(store, 0.0)
    assert shown(view).shape[0] == 18 and not shown(view).any()
    assert not view.grab().isNull()


@pytest.mark.parametrize(("base", "text"), [("#1e1e1e", "#eeeeee"), ("#ffffff", "#000000")])
def test_colours_are_monotone_in_lightness_away_from_the_ground(base: str, text: str) -> None:
    palette = QPalette()
    palette.setColor(QPalette.ColorRole.Base, QColor(base))
    palette.setColor(QPalette.ColorRole.Text, QColor(text))
    grey = np.array(
        [
            0.2126 * c.redF() + 0.7152 * c.greenF() + 0.0722 * c.blueF()
            for c in map(QColor, shade_colours(palette))
        ]
    )
    step = np.diff(grey)
    assert (step >= -0.004).all() if grey[-1] > grey[0] else (step <= 0.004).all()
    assert abs(grey[-1] - grey[0]) > 0.6
