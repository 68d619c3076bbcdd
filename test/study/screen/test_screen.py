"""A screen of a tiny policy: what it ranks, what it says of random rows, what it writes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from vla_sae_ros.activations.archive import EpisodeArchive
from vla_sae_ros.activations.format import CollectedSite, Collection, StepRecord
from vla_sae_ros.activations.observations import OBSERVATIONS_FOLDER, observation_files
from vla_sae_ros.activations.source import PolicyQuery
from vla_sae_ros.activations.writer import ActivationWriter
from vla_sae_ros.cli import main
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.tiny.tiny_smolvla import CAMERA_KEYS
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.experiment.design.study_file import load_study
from vla_sae_ros.study.screen.effects import screen_effect

SITE, THING = "backbone.0", "butter_1"


@pytest.fixture(scope="module")
def activations(tmp_path_factory: pytest.TempPathFactory, loaded: LoadedPolicy) -> Path:
    """Three episodes of two observations each; the butter is known in all but the last."""
    folder, draw = tmp_path_factory.mktemp("screen") / "activations", np.random.default_rng(0)
    engine = PolicyEngine(loaded)
    width = engine.adapter.sites[SITE].width
    sites = {SITE: CollectedSite(width, "mean", ("camera", "language", "state"))}
    collection = Collection(loaded.policy_id, loaded.name, sites, 20.0)
    with ActivationWriter(folder, collection) as writer:
        for number in range(3):
            name = f"e{number}"
            with EpisodeArchive(folder, OBSERVATIONS_FOLDER, name) as archive:
                for step in (0, 5):
                    frame = {
                        key: draw.integers(0, 255, (64, 64, 3), dtype=np.uint8)
                        if key in CAMERA_KEYS
                        else draw.normal(size=8).astype(np.float32)
                        for key in engine.input_features
                    }
                    query = PolicyQuery(frame, "pick up the butter", number, step)
                    for file in observation_files(query):
                        archive.add(*file)
                    context = {
                        "episode_id": name,
                        "step": step,
                        "task": "libero_object 0",
                        "instruction": "pick up the butter",
                        "state": (0.0,) * 8,
                        "object_positions": {THING: (0.3, 0.0, 0.4)} if number < 2 else {},
                    }
                    writer(SITE, draw.normal(size=width).astype(np.float32), context)
            writer.end_episode(success=True)
    engine.close()
    return folder


@pytest.fixture
def bundle(tmp_path: Path, loaded: LoadedPolicy, make_bundle: Callable[..., SaeBundle]) -> Path:
    make_bundle(loaded, SITE).save(tmp_path / "bundle")
    return tmp_path / "bundle"


def screen(bundle: Path, activations: Path, policy: Path, out: Path, *more: str) -> int:
    given = ["--activations", str(activations), "--policy", str(policy), "--out", str(out)]
    return main(["screen", str(bundle), *given, *more])


def test_a_screen_ranks_every_row_and_its_edits_agree_with_the_gradient(
    bundle: Path, activations: Path, tiny_policy_folder: Path, tmp_path: Path
) -> None:
    out, study = tmp_path / "out", tmp_path / "study.yaml"
    small = ("--effect", "height", "--dose", "0.001", "--check", "6", "--study", str(study))
    assert screen(bundle, activations, tiny_policy_folder, out, *small) == 0
    facts = json.loads((out / "screen.json").read_text())
    rows = list(csv.DictReader((out / "screen.csv").open()))
    size = SaeBundle.load(bundle).card.dictionary_size
    assert sorted(int(row["feature"]) for row in rows) == list(range(size))
    sizes = [abs(float(row["effect"])) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    (site,) = facts["sites"]
    assert (facts["observations"], facts["episodes"]) == (6, 3)
    assert site["random_rows"] == 1000
    beyond = [float(row["effect"]) for row in rows if row["beyond_random"] == "1"]
    assert all(abs(one) > site["random_95"] for one in beyond)
    # The rows of this bundle are random themselves: about one in twenty lies beyond.
    assert len(beyond) < 0.25 * size
    check = site["checked"]
    assert len(check["features"]) == 6 and check["correlation"] > 0.98
    assert check["same_sign"] == 1.0 and check["mean_correlation"] > 0.98
    planned = load_study(study)
    assert planned.features[0].site == SITE
    assert set(planned.features[0].ids) == {int(row["feature"]) for row in rows[:10]}


def test_only_observations_that_know_the_object_are_asked_about_it(
    bundle: Path, activations: Path, tiny_policy_folder: Path, tmp_path: Path
) -> None:
    effect = ("--effect", f"toward {THING}", "--check", "0")
    assert screen(bundle, activations, tiny_policy_folder, tmp_path / "out", *effect) == 0
    facts = json.loads((tmp_path / "out" / "screen.json").read_text())
    assert (facts["observations"], facts["episodes"]) == (4, 2)


def test_effects_in_a_single_episode_have_no_standard_error_and_it_says_so(
    bundle: Path,
    activations: Path,
    tiny_policy_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = ("--effect", "height", "--observations", "1", "--check", "0")
    assert screen(bundle, activations, tiny_policy_folder, tmp_path / "out", *few) == 0
    printed = capsys.readouterr().out
    assert "of one episode" in printed and "nan" not in printed and "±" not in printed


def test_what_cannot_be_screened_is_refused(
    bundle: Path,
    activations: Path,
    tiny_policy_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for given, said in (
        (("--effect", "colour"), "height, gripper, speed"),
        (("--effect", "toward milk_1"), "has what the effect"),
        (("--effect", "height", "--dose", "0"), "--dose"),
        (("--effect", "height", "--observations", "0"), "--observations"),
    ):
        assert screen(bundle, activations, tiny_policy_folder, tmp_path / "out", *given) == 2
        assert said in capsys.readouterr().err


def test_effects_are_those_of_their_names() -> None:
    actions = torch.tensor([[3.0, 4.0, 0.5, 0, 0, 0, -1.0], [0.0, 0.0, 1.5, 0, 0, 0, 1.0]])
    step = StepRecord("e", 0, state=(1.0, 0.0, 0.0), object_positions={THING: (1.0, 2.0, 0.0)})

    def of(name: str) -> float:
        effect = screen_effect(name).at(step)
        assert effect is not None
        return float(effect(actions))

    assert of("height") == pytest.approx(1.0)
    assert of("gripper") == pytest.approx(0.0)
    assert of("speed") == pytest.approx((np.linalg.norm([3, 4, 0.5]) + 1.5) / 2)
    assert of(f"toward {THING}") == pytest.approx(2.0)  # the line is along y
    for name in ("height", "gripper", "speed"):
        effect = screen_effect(name).at(step)
        assert effect is not None
        with pytest.raises(ConfigurationError, match="numbers of an action"):
            effect(torch.zeros(2, 8))


def test_any_number_of_any_action_is_an_effect() -> None:
    step = StepRecord("e", 0)
    effect = screen_effect("action 3").at(step)
    assert effect is not None
    assert float(effect(torch.tensor([[0.0, 0, 0, 1], [0, 0, 0, 2]]))) == pytest.approx(1.5)
    with pytest.raises(ConfigurationError, match="0 to 2"):
        effect(torch.zeros(2, 3))
