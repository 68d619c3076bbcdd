"""Names by evidence beside a bundle, with planted features; what does not belong is refused."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from planted_features import (
    CARRYING,
    CLOSED,
    HELD_OUT,
    NAMED,
    NOISE,
    RARE,
    collect_planted,
    planted_bundle,
)

from vla_sae_ros.core.catalogue import CATALOGUE_FILE, Catalogue
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import SaeBundle, TopKSAE
from vla_sae_ros.study.features.labels import label
from vla_sae_ros.study.features.labels.evidence_file import EVIDENCE_FILE, Evidence


def run(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    label.add_arguments(parser)
    return label.run(parser.parse_args([*map(str, arguments)]))


def another_seed(bundle: Path, folder: Path, site: str | None = None) -> Path:
    """The same features, turned about in the dictionary; CLOSED is found again at cosine 0.6."""
    first = SaeBundle.load(bundle)
    rows = first.sae.W_dec.detach()[[5, 4, 3, 2, 1, 0]].clone()
    rows[5] = torch.tensor([0.6, 0.0, 0.0, 0.0, 0.0, 0.8])
    rows[0] = 0.0
    sae = TopKSAE(torch.eye(6), torch.zeros(6), rows, torch.zeros(6), 6, "none")
    card = replace(first.card, site=site or first.card.site)
    catalogue = type(first.catalogue)(card.site, [])
    SaeBundle(sae, card, catalogue).save(folder)
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return planted_bundle(tmp_path / "bundle")


@pytest.fixture(scope="module")
def activations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collect_planted(tmp_path_factory.mktemp("planted") / "activations")


def test_features_are_named_on_the_bundles_held_out_episodes_and_a_persons_label_stays(
    bundle: Path, activations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bundle, activations) == 0
    labels = {one.feature: one.label for one in SaeBundle.load(bundle).catalogue.entries}
    assert labels == {CLOSED: "gripper closed", CARRYING: "phase: carry", NAMED: "mine"}
    said = " ".join(capsys.readouterr().out.split())
    assert "3 of 5 features that fire got a name" in said and "4 held-out of 12" in said
    assert "mine (by a person)" in said
    evidence = Evidence.load(bundle, SaeBundle.load(bundle).bundle_id)
    assert evidence is not None and evidence.held_out == HELD_OUT
    assert (evidence.chosen_by, evidence.mean_stability) == ("bundle", {})
    by_feature = {one.feature: one for one in evidence.features}
    assert by_feature[CARRYING].variable == "phase carry"
    assert by_feature[CARRYING].r_held_out == pytest.approx(1.0, abs=0.01)
    assert not by_feature[NOISE].named and abs(by_feature[NOISE].r_held_out) < 0.6
    top = by_feature[CARRYING].top
    assert [one.episode_id for one in top[:2]] == ["e11", "e10"]
    assert top[0].value == pytest.approx(3.11)
    assert [(one.episode_id, one.step) for one in by_feature[RARE].top] == [("e2", 35)]


def test_what_a_person_writes_while_features_are_labelled_stays(
    bundle: Path, activations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = label._measure

    def interrupted(*arguments: Any) -> Any:
        path = bundle / CATALOGUE_FILE
        noted = replace(SaeBundle.load(bundle).catalogue.entries[0], notes="seen it")
        Catalogue.load(path).with_entry(noted).save(path)
        return measure(*arguments)

    monkeypatch.setattr(label, "_measure", interrupted)
    run(bundle, activations)
    entries = SaeBundle.load(bundle).catalogue.entries
    assert [one.notes for one in entries if one.notes] == ["seen it"]


def test_labelling_again_gives_the_same_and_takes_back_names_without_evidence(
    bundle: Path, activations: Path
) -> None:
    run(bundle, activations)
    first = (bundle / "catalogue.json").read_bytes(), (bundle / EVIDENCE_FILE).read_bytes()
    catalogue = SaeBundle.load(bundle).catalogue
    noise = replace(catalogue.entries[0], feature=NOISE, label="old", label_source="evidence")
    catalogue.with_entry(noise).save(bundle / "catalogue.json")
    run(bundle, activations)
    assert (bundle / EVIDENCE_FILE).read_bytes() == first[1]
    again = SaeBundle.load(bundle).catalogue.get(NOISE)
    assert again is not None and (again.label, again.label_source) == ("", "")


def test_episodes_the_bundle_does_not_know_are_split_anew_and_that_is_said(
    bundle: Path, activations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = bundle / "bundle.yaml"
    card.write_text(card.read_text().replace("- e", "- other"))
    run(bundle, activations, "--held-out", "0.5")
    assert "chosen anew" in capsys.readouterr().out
    content = json.loads((bundle / EVIDENCE_FILE).read_text())
    assert content["chosen_by"] == "split" and len(content["held_out"]) == 6


def test_stability_is_the_largest_decoder_cosine_in_another_seed(
    bundle: Path, activations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = another_seed(bundle, tmp_path / "seed1")
    run(bundle, activations, "--seeds", other)
    evidence = Evidence.load(bundle, SaeBundle.load(bundle).bundle_id)
    assert evidence is not None
    (other_id,) = evidence.mean_stability
    assert other_id == SaeBundle.load(other).bundle_id
    found = {one.feature: one.stability[other_id] for one in evidence.features}
    assert found == pytest.approx({CLOSED: 0.6, CARRYING: 1, NOISE: 1, RARE: 1, NAMED: 1})
    assert evidence.mean_stability[other_id] == pytest.approx(4.6 / 5)
    assert "mean decoder cosine 0.920" in capsys.readouterr().out


def test_activations_of_another_policy_are_refused(bundle: Path, tmp_path: Path) -> None:
    foreign = collect_planted(tmp_path / "foreign", policy_id="ffff0000", episodes=2)
    with pytest.raises(ConfigurationError, match="policy id"):
        run(bundle, foreign)


def test_a_single_episode_cannot_be_held_out(bundle: Path, tmp_path: Path) -> None:
    single = collect_planted(tmp_path / "single", episodes=1)
    with pytest.raises(ConfigurationError, match="at least 2"):
        run(bundle, single)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('{"format": 1, "bundle_id": "other"}', "delete it"),
        ("{", "Cannot read"),
        ("[]", "Cannot read"),
        ("OTHER", "other"),
    ],
)
def test_evidence_that_is_damaged_or_of_another_bundle_is_refused_and_kept(
    bundle: Path, activations: Path, text: str, word: str
) -> None:
    before = (bundle / "catalogue.json").read_bytes()
    if text == "OTHER":
        Evidence("other", 1, ("e0",), "split", (), {}, ()).save(bundle)
    else:
        (bundle / EVIDENCE_FILE).write_text(text)
    evidence = (bundle / EVIDENCE_FILE).read_bytes()
    with pytest.raises(ConfigurationError, match=f"(?i){word}"):
        run(bundle, activations)
    assert (bundle / EVIDENCE_FILE).read_bytes() == evidence
    assert (bundle / "catalogue.json").read_bytes() == before


@pytest.mark.parametrize(("site", "word"), [("expert.1", "site"), (None, "other seeds")])
def test_seeds_that_cannot_be_compared_are_refused(
    bundle: Path, activations: Path, tmp_path: Path, site: str | None, word: str
) -> None:
    other = another_seed(bundle, tmp_path / "seed1", site) if site else bundle
    with pytest.raises(ConfigurationError, match=word):
        run(bundle, activations, "--seeds", other)
    assert not (bundle / EVIDENCE_FILE).exists()
