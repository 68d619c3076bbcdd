"""The plot shows what it should and nothing is cut off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vla_sae_ros.bags.episode_trace import Annotation, EpisodeTrace, Series
from vla_sae_ros.bags.reading import Bag, read_bag
from vla_sae_ros.cli import main
from vla_sae_ros.study.plots import colours
from vla_sae_ros.study.plots.feature_choice import chosen_features
from vla_sae_ros.study.plots.marks import marks_of
from vla_sae_ros.study.plots.traces_plot import write_traces_plot


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
    assert picture.shape == (1080, 1300, 3)
    assert close_to(picture, colours.BLUE) > 500
    border = np.concatenate(
        [
            picture[:3].reshape(-1, 3),
            picture[-3:].reshape(-1, 3),
            picture[:, :3].reshape(-1, 3),
            picture[:, -3:].reshape(-1, 3),
        ]
    )
    assert (border == 255).all()


def test_steering_is_shaded_only_where_it_acted(bag: Bag, tmp_path: Path) -> None:
    shaded = []
    for number, trace in enumerate(bag.episodes):
        write_traces_plot(tmp_path / f"{number}.png", trace, bag.catalogues)
        picture = np.asarray(Image.open(tmp_path / f"{number}.png").convert("RGB")).astype(int)
        yellow = (picture[..., 0] > 240) & (picture[..., 2] < 200) & (picture[..., 1] > 220)
        shaded.append(int(yellow.sum()))
    assert shaded[0] == 0 and shaded[1] > 20_000


def test_events_of_one_kind_and_step_share_a_mark_and_remarks_are_told_apart(bag: Bag) -> None:
    trace = replace(bag.episodes[1], annotations=(Annotation("steered", 12, "me", "look here"),))
    assert [(mark.step, mark.text, mark.by_person) for mark in marks_of(trace)] == [
        (10, "set backbone.1 #7", False),
        (12, "“look here” me", True),
        (30, "released backbone.1 #7", False),
    ]


def test_another_instruction_is_marked_at_its_step(bag: Bag) -> None:
    told = ((0, "go left"), (15, "take the milk and put it into the basket"))
    trace = replace(bag.episodes[0], instructions=told)
    assert marked(trace) == [(15, "told “take the milk and put it into…")]


def changed(trace: EpisodeTrace, **columns: Any) -> EpisodeTrace:
    """Return the trace with other columns in its one stream of features."""
    stream = replace(trace.features["backbone.1"], **columns)
    return replace(trace, features={"backbone.1": stream})


def marked(trace: EpisodeTrace) -> list[tuple[int, str]]:
    return [(mark.step, mark.text) for mark in marks_of(trace) if not mark.by_person]


def test_an_event_stands_at_the_first_observation_that_was_inferred_with_it(bag: Bag) -> None:
    trace = bag.episodes[1]  # inferences at 0, 5, 10 ...; edited from 10 to 30
    revisions = np.select([trace.features["backbone.1"].step < 10], [3], 4).astype(np.uint64)
    asked = [replace(note, step=6, revision=4) for note in trace.notes if note.kind == "SET"]
    trace = replace(changed(trace, revision=revisions), action_revision=np.full(40, 4, np.uint64))
    assert marked(replace(trace, notes=tuple(asked))) == [
        (10, "set backbone.1 #7"),
        (30, "edit ends backbone.1 #7"),
    ]


def test_what_was_set_before_the_episode_is_marked_where_it_acts(bag: Bag) -> None:
    assert marked(replace(bag.episodes[1], notes=())) == [
        (10, "edit acts backbone.1 #7"),
        (30, "edit ends backbone.1 #7"),
    ]


def test_what_is_reset_after_the_last_inference_has_no_mark(bag: Bag) -> None:
    trace = bag.episodes[1]
    late = replace(trace.notes[0], kind="RESET", site="", step=35, revision=9)
    assert marked(replace(trace, notes=(*trace.notes, late))) == marked(trace)
    replanned = changed(trace, revision=np.full(8, 9, np.uint64))  # of which nothing was executed
    idle = replace(replanned, notes=(late,), action_revision=np.full(40, 8, np.uint64))
    assert (35, "reset") not in marked(idle)
    assert (35, "reset") in marked(replace(idle, action_revision=np.full(40, 9, np.uint64)))
    bare = replace(trace, features={}, notes=(late,))
    assert marked(bare) == [(35, "reset")], "a bag without inferences tells no more than the event"


def test_speed_is_that_of_the_recorded_positions(bag: Bag) -> None:
    speed = bag.episodes[0].speed()  # 1 mm per control step at 20 Hz
    np.testing.assert_array_equal(speed.step, np.arange(5, 61, 5))
    np.testing.assert_allclose(speed.values, 0.02, rtol=1e-6)
    nowhere = replace(bag.episodes[0], position=Series(np.zeros(0, np.int64), np.zeros((0, 3))))
    assert len(nowhere.speed().values) == 0


def test_the_page_holds_every_trace_and_needs_no_network(
    synthetic_bag: Path, tmp_path: Path
) -> None:
    arguments = ["bag", "plot", str(synthetic_bag), "--output", str(tmp_path)]
    assert main([*arguments, "--episode", "2", "--features", "backbone.1:7"]) == 0
    page = (tmp_path / "traces_2.html").read_text()
    assert "gripper closes" in page and "before the edit" in page and "hand speed" in page
    assert "<script src=" not in page and 'src="http' not in page and len(page) > 10**6
    assert (tmp_path / "traces_2.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "traces_1.png").exists()


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [(["--episode", "3"], 1, "1 to 2"), (["--features", "expert.9:1"], 2, "expert.9")],
)
def test_what_is_not_in_the_bag_is_refused_by_name(
    synthetic_bag: Path,
    tmp_path: Path,
    more: list[str],
    status: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bag", "plot", str(synthetic_bag), "--output", str(tmp_path), *more]) == status
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_feature_that_is_no_site_and_number_is_refused(
    synthetic_bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["bag", "plot", str(synthetic_bag), "--features", "80"])
    assert "site:id" in capsys.readouterr().err
