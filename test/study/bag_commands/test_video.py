"""A film of a served bag: cameras, a heatmap computed again, traces with a line that moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from vla_sae_ros.bags.reading import read_bag
from vla_sae_ros.cli import main
from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.study.plots import colours
from vla_sae_ros.study.plots.feature_choice import chosen_features
from vla_sae_ros.study.plots.film import SIZE, write_film
from vla_sae_ros.study.plots.moving_traces import MovingTraces

# Policies are loaded again and again, on a machine that may be busy.


def frames_of(path: Path) -> list[np.ndarray]:
    reader = imageio_ffmpeg.read_frames(str(path))
    width, height = next(reader)["size"]
    return [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]


def test_the_line_moves_with_the_time(synthetic_bag: Path) -> None:
    bag = read_bag(synthetic_bag)
    names = chosen_features(bag.episodes[1], bag.catalogues, 3)
    traces = MovingTraces(bag.episodes[1], bag.catalogues, names, (600, 500))
    still = np.asarray(traces.at(0))
    places = []
    for step in (10, 20, 30):
        picture = np.asarray(traces.at(step))
        assert picture.shape == (500, 600, 3)
        red = (picture == colours.rgb(colours.VERMILION)).all(axis=2) & (picture != still).any(2)
        places.append(float(np.flatnonzero(red.sum(axis=0) > 100).mean()))
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=1.5)
    assert places[0] < places[1]


def test_a_long_name_of_a_feature_takes_no_room_from_the_traces(synthetic_bag: Path) -> None:
    trace = read_bag(synthetic_bag).episodes[1]
    ends = []
    for label in ("", "a name that somebody has thought about for long"):
        known = {"backbone.1": Catalogue("backbone.1", [FeatureEntry(7, label), FeatureEntry(3)])}
        picture = MovingTraces(trace, known, [("backbone.1", 3), ("backbone.1", 7)], (600, 500))
        line = (np.asarray(picture.at(40)) != np.asarray(picture.at(0))).any(axis=2).any(axis=0)
        ends.append(int(np.flatnonzero(line).max()))
    assert ends[0] > 500
    assert ends[1] > ends[0] - 60


def test_a_film_shows_the_recorded_cameras_and_the_heatmap_below(
    synthetic_bag: Path, tmp_path: Path
) -> None:
    bag = read_bag(synthetic_bag)
    trace = replace(bag.episodes[1], steps=4)
    green = np.full((64, 128, 3), (0, 200, 0), np.uint8)
    write_film(tmp_path / "film.mp4", trace, bag.catalogues, [("backbone.1", 7)], {2: green}, "h")
    frames = frames_of(tmp_path / "film.mp4")
    assert len(frames) == 4 + 20 and frames[0].shape == (SIZE[1], SIZE[0], 3)
    low = [int(frame[480, 300, 1]) - int(frame[480, 300, 0]) for frame in (frames[0], frames[3])]
    assert low[0] < 20 and low[1] > 150


def test_an_episode_without_pictures_is_refused(synthetic_bag: Path, tmp_path: Path) -> None:
    bag = read_bag(synthetic_bag, pictures=False)
    with pytest.raises(RecordingError, match="with pictures"):
        write_film(tmp_path / "x.mp4", bag.episodes[0], {}, [], {}, "")


def test_a_heatmap_is_computed_again_from_the_bag(
    serve: Callable[..., Path],
    replay_options: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["bag", "video", str(serve(requests=3)), *replay_options]
    film = tmp_path / "film.mp4"
    assert main([*command, "--heatmap", "expert.1:2", "--output", str(film)]) == 2
    assert "action tokens" in capsys.readouterr().err and not film.exists()
    assert main([*command, "--heatmap", "backbone.0:2", "--output", str(film)]) == 0
    assert len(frames_of(film)) > 20
