"""The video plays, has both rollouts and is the same every time."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from vla_sae_ros.bags.reading import Bag, read_bag
from vla_sae_ros.core.errors import RecordingError
from vla_sae_ros.study.plots import colours, mp4
from vla_sae_ros.study.plots.episode_frame import full_bar
from vla_sae_ros.study.plots.episode_video import SIZE, write_comparison_video


@pytest.fixture(scope="module")
def bag(synthetic_bag: Path) -> Bag:
    bag = read_bag(synthetic_bag)
    short = [replace(each, steps=min(each.steps, 20)) for each in bag.episodes]
    return replace(bag, episodes=(short[0], short[1]))


def test_the_video_is_h264_in_real_time_with_both_rollouts(bag: Bag, tmp_path: Path) -> None:
    path, progress = tmp_path / "new" / "both.mp4", []
    write_comparison_video(
        path,
        *bag.episodes,
        bag.catalogues,
        progress=lambda done, total: progress.append((done, total)),
    )
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == 20
        assert (stream.width, stream.height) == SIZE
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(frames) == progress[-1][0] == progress[-1][1] == 50
    # Step 15: the edited bar is orange on the right side only.
    orange = np.abs(frames[15].astype(int) - colours.rgb(colours.ORANGE)).max(axis=2) < 30
    assert orange[:, SIZE[0] // 2 :].sum() > 1000 > 10 > orange[:, : SIZE[0] // 2].sum()


def test_no_bar_is_longer_than_its_track_not_even_that_of_an_edit(bag: Bag) -> None:
    edited, unit = ("backbone.1", 7), 2.0
    assert full_bar(bag.episodes, [edited], bag.catalogues) == 8.0 / unit
    assert full_bar(bag.episodes[:1], [edited], bag.catalogues) == 1.0, "at least the maximum"


def test_the_same_episodes_give_the_same_file(bag: Bag, tmp_path: Path) -> None:
    digests = set()
    for name in ("a.mp4", "b.mp4"):
        write_comparison_video(tmp_path / name, *bag.episodes, bag.catalogues)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_an_episode_without_pictures_or_features_still_makes_a_video(
    bag: Bag, tmp_path: Path
) -> None:
    bare = [replace(each, pictures={}, features={}, steps=2) for each in bag.episodes]
    write_comparison_video(tmp_path / "bare.mp4", bare[0], bare[1])
    assert (tmp_path / "bare.mp4").stat().st_size > 1000


def test_an_encoder_that_fails_is_reported_in_its_own_words(
    bag: Bag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = tmp_path / "fake_ffmpeg"
    failing.write_text("#!/bin/sh\necho no such codec >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(mp4.imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(failing))
    with pytest.raises(RecordingError, match="no such codec"):
        write_comparison_video(tmp_path / "x.mp4", *bag.episodes, bag.catalogues)
