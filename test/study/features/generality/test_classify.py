"""Classes in the catalogue, with planted features; labels that do not belong are refused."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vla_sae_ros.activations.format import CollectedSite, Collection
from vla_sae_ros.activations.writer import ActivationWriter
from vla_sae_ros.core.catalogue import Catalogue, FeatureEntry
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import SaeBundle, TopKSAE
from vla_sae_ros.sae.bundle import BundleCard
from vla_sae_ros.study.features.generality import classify

WIDTH, SITE = 6, "expert.0"
ONSETS, ONCE, SILENT = 0, 1, 5


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Each feature reads one axis of the residual stream; feature 1 was named by a person."""
    sae = TopKSAE(
        torch.eye(WIDTH), torch.zeros(WIDTH), torch.eye(WIDTH), torch.zeros(WIDTH), 4, "none"
    )
    card = BundleCard(
        "0123abcd", "tiny", SITE, WIDTH, WIDTH, 4, "mean", ("action",), "none", 1.0, 1.0
    )
    named = FeatureEntry(ONCE, label="mine", label_source="person", observed_max=2.0, notes="hm")
    SaeBundle(sae, card, Catalogue(SITE, [named])).save(tmp_path / "bundle")
    return tmp_path / "bundle"


def collect(folder: Path, policy_id: str = "0123abcd", failed: int = 0) -> Path:
    """Feature 0 comes and goes four times in every episode; features 1 to 4 come in one each.

    The first `failed` episodes fail.
    """
    collection = Collection(
        policy_id, "tiny", {SITE: CollectedSite(WIDTH, "mean", ("action",))}, 20.0
    )
    with ActivationWriter(folder, collection) as writer:
        for number in range(8):
            for step in range(20):
                x = np.full(WIDTH, -1.0)
                x[ONSETS] = 3.0 if step % 5 == 0 else -1.0
                x[1 + number % 4] = 3.0 if 8 <= step < 12 and number < 4 else -1.0
                writer(SITE, x, {"episode_id": f"e{number}", "step": step})
            writer.end_episode(success=number >= failed)
    return folder


def run(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    classify.add_arguments(parser)
    return classify.run(parser.parse_args([*map(str, arguments), "--draws", "20"]))


def test_a_feature_of_every_episode_is_general_and_one_of_a_single_episode_is_memorized(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bundle, collect(tmp_path / "activations")) == 0
    catalogue = SaeBundle.load(bundle).catalogue
    classes = [entry.feature_class for entry in catalogue.entries]
    assert classes == ["general", *["memorized"] * 4, "dead"]
    assert catalogue.entries[ONSETS].onset_count == pytest.approx(4)
    assert catalogue.entries[ONCE].coverage == pytest.approx(1 / 8)
    assert math.isnan(catalogue.entries[SILENT].general_probability)
    assert (catalogue.entries[ONCE].label, catalogue.entries[ONCE].notes) == ("mine", "hm")
    record = json.loads((bundle / "generality.json").read_text())
    assert record["general_share"]["value"] == pytest.approx(1 / 5)
    said = capsys.readouterr().out
    assert "1 general of 5 features" in " ".join(said.split()) and "they replace" not in said
    assert run(bundle, tmp_path / "activations") == 0
    said = capsys.readouterr().out
    assert f"{bundle / 'catalogue.json'}; they replace those of 8 episodes." in said


def test_the_share_is_also_that_of_episodes_that_succeed_and_of_those_that_fail(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(bundle, collect(tmp_path / "activations", failed=3))
    record = json.loads((bundle / "generality.json").read_text())
    # Of features 0 to 4, feature 0 is general; 1 to 3 fire in failed episodes, 4 in the fourth.
    assert record["by_outcome"] == {
        "succeeded": {"value": 1 / 2, "episodes": 5},
        "failed": {"value": 1 / 4, "episodes": 3},
    }
    said = " ".join(capsys.readouterr().out.split())
    assert "50.0% in the 5 episodes that succeeded, 25.0% in the 3 that failed" in said


def test_codes_are_measured_as_of_samples_of_unit_length(bundle: Path, tmp_path: Path) -> None:
    run(bundle, collect(tmp_path / "activations"), "--tau", "0.9")
    # The peak, 3, is 0.80 of the sample's length, so that it never passes a threshold of 0.9.
    assert SaeBundle.load(bundle).catalogue.entries[ONSETS].onset_count == 0


def test_what_a_person_writes_while_features_are_classified_stays(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = classify.general_share

    def interrupted(*arguments: Any) -> Any:
        path = bundle / "catalogue.json"
        Catalogue.load(path).with_entry(FeatureEntry(ONSETS, notes="seen it")).save(path)
        return share(*arguments)

    monkeypatch.setattr(classify, "general_share", interrupted)
    run(bundle, collect(tmp_path / "activations"))
    assert SaeBundle.load(bundle).catalogue.entries[ONSETS].notes == "seen it"


def test_a_sample_without_any_length_fires_nothing(bundle: Path, tmp_path: Path) -> None:
    activations = collect(tmp_path / "activations")
    with ActivationWriter(activations, Collection.load(activations)) as writer:
        for step in range(3):
            context = {"episode_id": "blank", "step": step}
            writer(SITE, np.eye(WIDTH)[ONSETS] * (step != 1), context)
        writer.end_episode()
    assert run(bundle, activations) == 0
    entry = SaeBundle.load(bundle).catalogue.entries[ONSETS]
    assert entry.onset_count == pytest.approx((8 * 4 + 2) / 9)  # on, off at the blank one, on


def test_a_threshold_that_few_features_reach_is_said_with_a_better_one(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    activations = collect(tmp_path / "activations")
    run(bundle, activations)
    assert "onset threshold" not in capsys.readouterr().out
    run(bundle, activations, "--tau", "0.95")
    said = " ".join(capsys.readouterr().out.split())
    assert "5 of 5 features that fire stay below the onset threshold of 0.95" in said
    run(bundle, activations, "--tau", said.split("try --tau ")[1].rstrip("."))
    assert "onset threshold" not in capsys.readouterr().out


def test_own_labels_are_fitted_and_their_accuracy_is_said(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.yaml"
    bundle_id = SaeBundle.load(bundle).bundle_id
    labels.write_text(
        f"bundle_id: {bundle_id}\n"
        "labels: {0: memorized, 1: general, 2: general, 3: general, 4: general}\n"
    )
    activations = collect(tmp_path / "activations")
    with pytest.raises(ConfigurationError, match="at least one of each class"):
        run(bundle, activations, "--labels", labels)  # leaving out the only memorized one
    labels.write_text(
        f"bundle_id: {bundle_id}\nlabels: {{0: memorized, 5: memorized, 1: general, 2: general}}\n"
    )
    run(bundle, activations, "--labels", labels)
    assert "leave-one-out accuracy" in capsys.readouterr().out
    assert json.loads((bundle / "generality.json").read_text())["classifier"] == "own labels"


def test_what_a_person_said_stays_the_class_whatever_the_weights_say(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def classes() -> list[str]:
        return [entry.feature_class for entry in SaeBundle.load(bundle).catalogue.entries]

    activations, labels = collect(tmp_path / "activations"), tmp_path / "labels.yaml"
    # Features 1 to 4 are alike: no weights can tell 1 from the others.
    head = f"bundle_id: {SaeBundle.load(bundle).bundle_id}\nlabels: "
    memorized = "2: memorized, 3: memorized, 4: memorized, 5: memorized"
    labels.write_text(f"{head}{{0: general, 1: general, {memorized}}}")
    run(bundle, activations, "--labels", labels)
    assert classes()[:4] == ["general", "general", "memorized", "memorized"]
    assert classes()[SILENT] == "dead"
    p = SaeBundle.load(bundle).catalogue.entries[1].general_probability
    said = " ".join(capsys.readouterr().out.split())
    assert p < 0.5 and "for 1 of them the weights give another class: [1]" in said
    run(bundle, activations)
    assert classes()[1] == "general", "a later run with published weights keeps it"
    labels.write_text(f"{head}{{0: general, 4: general, 1: memorized, 2: memorized}}")
    run(bundle, activations, "--labels", labels)
    assert classes()[1] == "memorized", "a newer label of the same feature counts"
    assert classes()[4] == "general"


def test_two_policies_are_compared(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    activations = collect(tmp_path / "activations")
    run(bundle, activations, "--against", bundle, activations)
    assert "difference +0.0%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("bundle_id: other\nlabels: {0: general}\n", "other"),
        ("labels: {0: general}\n", "bundle_id"),
        ("bundle_id: ID\nlabels: {0: good}\n", "good"),
        ("bundle_id: ID\nlabels: {99: general}\n", "99"),
        ("bundle_id: ID\nlabels: []\n", "a mapping"),
        ("[1, 2", "not YAML"),
    ],
)
def test_labels_that_do_not_belong_are_refused_and_nothing_is_written(
    bundle: Path, tmp_path: Path, text: str, word: str
) -> None:
    labels = tmp_path / "labels.yaml"
    labels.write_text(text.replace("ID", SaeBundle.load(bundle).bundle_id))
    before = (bundle / "catalogue.json").read_bytes()
    with pytest.raises(ConfigurationError, match=word):
        run(bundle, collect(tmp_path / "activations"), "--labels", labels)
    assert (bundle / "catalogue.json").read_bytes() == before
    assert not (bundle / "generality.json").exists()


@pytest.mark.parametrize("tau", ["nan", "inf", "-0.1"])
def test_a_threshold_that_is_none_is_refused_and_nothing_is_written(
    bundle: Path, tmp_path: Path, tau: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"--tau: got .*; allowed: a number from 0 on"):
        run(bundle, collect(tmp_path / "activations"), "--tau", tau)
    assert not (bundle / "generality.json").exists()


def test_activations_of_another_policy_are_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="policy id"):
        run(bundle, collect(tmp_path / "activations", policy_id="ffff0000"))
