"""Camera pictures and the heatmap of the selected feature."""

from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.panel.state.incoming import HEATMAP
from vla_sae_ros.panel.state.values import Picture
from vla_sae_ros.panel.views.camera import CameraView


def picture(value: int, shape: tuple[int, int, int] = (4, 6, 3)) -> Picture:
    return Picture(1.0, np.full(shape, value, np.uint8))


@pytest.fixture
def view(qtbot, context, client) -> CameraView:
    client.seen_cameras = ["agentview", "wrist"]
    client.commands.offered.add("policy/select_heatmap")
    result = CameraView(context)
    qtbot.addWidget(result)
    with qtbot.waitExposed(result):
        result.show()
    return result


def test_pictures_are_heard_only_while_the_view_is_visible(view, store, client) -> None:
    store.selected = ("backbone.1", 1)
    view.refresh(store, 1.0)
    assert set(client.watched) == {"agentview", "wrist", HEATMAP}
    view.hide()
    assert client.watched == []
    assert client.requests[-1] == ("heatmap", None)
    view.show()
    view.refresh(store, 2.0)
    assert set(client.watched) == {"agentview", "wrist", HEATMAP}
    assert client.requests[-1] == ("heatmap", ("backbone.1", 1))


def test_the_heatmap_is_asked_for_once_per_selection(view, store, client) -> None:
    for name in (("backbone.1", 1), ("backbone.1", 1), ("expert.0", 2)):
        store.selected = name
        view.refresh(store, 1.0)
    assert client.requests == [("heatmap", ("backbone.1", 1)), ("heatmap", ("expert.0", 2))]


def test_the_heatmap_of_another_feature_is_not_shown_as_this_ones(view, store) -> None:
    store.selected, store.heatmap = ("backbone.1", 1), None
    view.refresh(store, 1.0)
    store.heatmap = picture(7)
    view.refresh(store, 1.1)
    assert view.heatmap._pixels is not None and "backbone.1 #1" in view.heatmap.caption
    store.selected = ("backbone.1", 2)
    view.refresh(store, 1.2)
    assert view.heatmap._pixels is None


@pytest.mark.parametrize(
    ("selected", "offered", "words"),
    [
        (None, True, "Select a feature"),
        (("expert.0", 1), False, "does not offer one"),
        (("expert.0", 1), True, "action expert, have none"),
    ],
)
def test_the_view_says_why_there_is_no_heatmap(
    view, store, client, selected, offered: bool, words: str
) -> None:
    client.commands.offered = {"policy/select_heatmap"} if offered else set()
    store.selected = selected
    view.refresh(store, 1.0)
    view.refresh(store, 10.0)
    assert words in view.heatmap.reason


def test_hiding_a_view_that_asked_for_nothing_sends_nothing(view, store, client) -> None:
    client.commands.offered.clear()
    store.selected = ("expert.0", 1)
    view.refresh(store, 1.0)
    view.hide()
    assert client.requests == []


def test_cameras_come_and_go(view, store, client) -> None:
    view.refresh(store, 1.0)
    store.pictures["agentview"] = picture(9)
    client.seen_cameras = ["agentview", "third"]
    view.refresh(store, 3.0)
    assert sorted(view.boxes) == ["agentview", "third"]
    assert sorted(client.watched) == ["agentview", "third"]
    assert view.boxes["agentview"]._pixels is not None and view.boxes["third"]._pixels is None


@pytest.mark.parametrize("shape", [(1, 1, 3), (480, 640, 3), (3, 5, 3)])
def test_pictures_of_any_size_are_drawn(view, store, shape) -> None:
    view.refresh(store, 1.0)
    store.pictures["agentview"] = picture(200, shape)
    view.refresh(store, 1.1)
    box = view.boxes["agentview"]
    image = box.grab().toImage()
    assert image.pixelColor(image.width() // 2, (image.height() - 20) // 2).red() == 200


def test_broken_pictures_of_a_camera_are_counted_in_its_caption(view, store, client) -> None:
    client.incoming.broken_pictures["wrist"] = 2
    view.refresh(store, 1.0)
    assert view.boxes["wrist"].caption == "wrist   2 BROKEN"
    store.pictures["wrist"] = picture(9)
    view.refresh(store, 1.1)
    assert view.boxes["wrist"]._pixels is not None and "2 BROKEN" in view.boxes["wrist"].caption
    assert view.boxes["agentview"].caption == "agentview"
