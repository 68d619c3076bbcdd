"""Heatmaps of collected episodes: the policy is asked again, and they are the live ones."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from observed_episodes import SITE, collect_observed, query
from PIL import Image

from vla_sae_ros.activations.archive import archive_path
from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.activations.format import CollectionError
from vla_sae_ros.activations.frames import jpeg, read_frame
from vla_sae_ros.activations.observations import OBSERVATIONS_FOLDER, read_observation
from vla_sae_ros.cli import main
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.features.heatmap_files import HeatmapFiles
from vla_sae_ros.study.features.heatmaps import HEIGHT, Wanted, best_moments, draw_heatmaps


@pytest.fixture
def bundle(loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle]) -> SaeBundle:
    return make_bundle(loaded, SITE)


@pytest.fixture
def engine(loaded: LoadedPolicy, bundle: SaeBundle) -> Iterator[PolicyEngine]:
    made = PolicyEngine(loaded, [bundle])
    yield made
    made.close()


@pytest.fixture
def folder(loaded: LoadedPolicy, tmp_path: Path) -> Path:
    collect_observed(loaded, tmp_path / "act", [0, 1], keep=True)
    return tmp_path / "act"


@pytest.fixture
def partly_observed(loaded: LoadedPolicy, folder: Path) -> Path:
    """Asked for before an engine with a bundle: a policy has one engine at a time."""
    collect_observed(loaded, folder, [0, 1, 2], keep=False)
    return folder


def test_an_observation_comes_back_to_the_bit(folder: Path) -> None:
    again, asked = read_observation(folder, "e1", 5), query(1, 5)
    assert again is not None
    assert (again.instruction, again.seed, again.step) == (asked.instruction, 1, 5)
    assert list(again.frame) == list(asked.frame)
    for name, value in asked.frame.items():
        assert again.frame[name].dtype == value.dtype
        np.testing.assert_array_equal(again.frame[name], value)
    assert read_observation(folder, "e1", 6) is None


def test_small_pictures_show_every_camera(folder: Path) -> None:
    small = read_frame(folder, "e0", 0)
    assert small is not None and Image.open(io.BytesIO(small)).size == (2 * 72, 48)


def test_a_heatmap_is_the_live_one_at_the_collected_activation(
    folder: Path, bundle: SaeBundle, engine: PolicyEngine
) -> None:
    dataset = ActivationDataset.open(folder)
    wanted = best_moments(bundle, dataset, 1)
    outcome = draw_heatmaps(engine, dataset, wanted)
    count = sum(map(len, wanted.values()))
    assert (outcome.drawn, outcome.unobserved, outcome.unlike) == (count, 0, 0) and count > 2
    episode_id, moments = next(iter(wanted.items()))
    step, feature = next(iter(moments))
    asked = query(int(episode_id[1:]), step)
    live = engine.infer(asked.frame, asked.instruction, (asked.seed, step))
    assert live.draw is not None
    kept = HeatmapFiles(folder, bundle.bundle_id).read(episode_id, step, feature)
    assert kept == jpeg(live.draw(SITE, feature, HEIGHT))
    assert Image.open(io.BytesIO(kept)).size == (2 * 192, HEIGHT)
    largest = live.draw(SITE, feature)
    assert largest.shape == (64, 2 * 96, 3), "of the cameras' own size where no height is said"


def test_a_second_pass_draws_only_what_is_missing(
    folder: Path, engine: PolicyEngine, bundle: SaeBundle
) -> None:
    dataset = ActivationDataset.open(folder)
    first: Wanted = {"e0": {(0, 3): 1.0}}
    draw_heatmaps(engine, dataset, first)
    outcome = draw_heatmaps(engine, dataset, {"e0": {(0, 3): 1.0, (5, 4): 1.0}})
    assert outcome.drawn == 1
    files = HeatmapFiles(folder, bundle.bundle_id)
    assert files.missing("e0", [(0, 3), (5, 4), (10, 4)]) == {(10, 4)}


def test_other_activations_and_missing_observations_are_counted(
    partly_observed: Path, engine: PolicyEngine
) -> None:
    dataset = ActivationDataset.open(partly_observed)
    outcome = draw_heatmaps(engine, dataset, {"e0": {(0, 3): 1e6}, "e2": {(0, 3): 1.0}})
    assert (outcome.drawn, outcome.unobserved, outcome.unlike) == (1, 1, 1)


def test_damaged_observations_are_named(folder: Path, engine: PolicyEngine) -> None:
    path = archive_path(folder, OBSERVATIONS_FOLDER, "e0")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(CollectionError, match=r"e0\.zip"):
        draw_heatmaps(engine, ActivationDataset.open(folder), {"e0": {(0, 3): 1.0}})


def test_report_and_labelling_page_show_the_heatmaps(
    folder: Path, bundle: SaeBundle, tiny_policy_folder: Path, tmp_path: Path
) -> None:
    bundle.save(tmp_path / "sae")
    arguments = [str(tmp_path / "sae"), str(folder), "--policy", str(tiny_policy_folder)]
    assert main(["heatmaps", *arguments, "--top", "2"]) == 0
    out = tmp_path / "report.html"
    given = [str(tmp_path / "sae"), "--activations", str(folder), "--out", str(out)]
    assert main(["report", *given]) == 0
    found = re.search(r"^const ROWS = (.*);$", out.read_text(), re.MULTILINE)
    assert found is not None
    drawn = [shown[4] for row in json.loads(found[1]) for shown in row["top"][:2]]
    assert drawn and None not in drawn and len(set(drawn)) == len(drawn)
    assert main(["report", *given, "--labelling", "2"]) == 0
    assert "where in the pictures it is active" in out.read_text()


def test_activations_without_observations_are_refused(
    bundle: SaeBundle, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle.save(tmp_path / "sae")
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare, ignore=shutil.ignore_patterns(OBSERVATIONS_FOLDER))
    assert main(["heatmaps", str(tmp_path / "sae"), str(bare)]) == 2
    assert "--keep-observations" in capsys.readouterr().err


def test_a_site_without_pictures_is_refused(
    loaded: LoadedPolicy,
    make_bundle: Callable[..., SaeBundle],
    folder: Path,
    tiny_policy_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_bundle(loaded, "expert.1").save(tmp_path / "sae")
    arguments = [str(tmp_path / "sae"), str(folder), "--policy", str(tiny_policy_folder)]
    assert main(["heatmaps", *arguments]) == 2
    assert "picture" in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match="top episodes"):
        best_moments(make_bundle(loaded, SITE), ActivationDataset.open(folder), 0)
