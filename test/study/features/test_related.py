"""Families of features: what fires together is found, in one SAE and between two."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from planted_features import CARRYING, CLOSED, NAMED, RARE, collect_planted, planted_bundle

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import SaeBundle, TopKSAE
from vla_sae_ros.study.features import relate
from vla_sae_ros.study.features.related import together
from vla_sae_ros.study.features.related_file import RELATED_FILE, read_relatives
from vla_sae_ros.study.reports import report

TURNED = (5, 4, 3, 2, 1, 0)


def run(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    relate.add_arguments(parser)
    return relate.run(parser.parse_args([*map(str, arguments)]))


def said_in(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def turned(bundle: Path, folder: Path, order: Sequence[int] = TURNED, factor: float = 1) -> Path:
    """Write the same features in another order, with codes so many times as large."""
    first = SaeBundle.load(bundle)
    rows = torch.eye(6)[list(order)]
    sae = TopKSAE(factor * rows.T.contiguous(), torch.zeros(6), rows, torch.zeros(6), 6, "none")
    SaeBundle(sae, first.card, type(first.catalogue)(first.card.site, [])).save(folder)
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return planted_bundle(tmp_path / "bundle")


@pytest.fixture(scope="module")
def activations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collect_planted(tmp_path_factory.mktemp("planted") / "activations", frames=True)


numbers = arrays(np.float32, (9, 3), elements=st.sampled_from([0.0, 0.0, 0.5, 1.0, 7.0]))


@given(numbers, numbers, st.integers(0, 9))
def test_parts_give_what_numpy_says_of_the_whole(
    one: np.ndarray, two: np.ndarray, cut: int
) -> None:
    measured = together([(one[:cut], two[:cut]), (one[cut:], two[cut:])], 3, 3)
    assert measured.inferences == 9
    for i in range(3):
        fires = one[:, i] > 0
        for j in range(3):
            if one[:, i].std() == 0 or two[:, j].std() == 0:
                assert np.isnan(measured.r[i, j])
            else:
                assert measured.r[i, j] == pytest.approx(np.corrcoef(one[:, i], two[:, j])[0, 1])
            if fires.any():
                assert measured.share[i, j] == pytest.approx((two[fires, j] > 0).mean())
            else:
                assert np.isnan(measured.share[i, j])


def test_two_features_of_the_same_thing_are_each_others_relatives(
    bundle: Path, activations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bundle, activations, "--least", "0.9") == 0
    (own,) = read_relatives(bundle, SaeBundle.load(bundle).bundle_id)
    assert {feature: [one.feature for one in several] for feature, several in own.of.items()} == {
        CLOSED: [NAMED],
        NAMED: [CLOSED],
    }
    (relative,) = own.of[CLOSED]
    assert (relative.label, relative.share, relative.cosine) == ("mine", 1.0, 0.0)
    assert relative.r == pytest.approx(1.0)
    assert "2 features have a relative, over 240 inferences" in capsys.readouterr().out


def test_the_same_features_of_another_sae_are_found_whatever_their_order(
    bundle: Path, activations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(bundle, activations, "--to", turned(bundle, tmp_path / "other"), "--top", "2")
    _, other = read_relatives(bundle, SaeBundle.load(bundle).bundle_id)
    for feature in (CARRYING, RARE):
        best = other.of[feature][0]
        assert (best.feature, best.cosine) == (TURNED.index(feature), 1.0)
        assert best.r == pytest.approx(1.0)
    assert len(other.of[CLOSED]) == 2
    assert "; 0 of them closest to the feature of the same number" in said_in(capsys)
    run(bundle, activations, "--to", turned(bundle, tmp_path / "kept", range(6), 2.0))
    _, kept = read_relatives(bundle, SaeBundle.load(bundle).bundle_id)
    same = [feature for feature, several in kept.of.items() if several[0].feature == feature]
    assert {CARRYING, RARE} <= set(same)
    said = said_in(capsys)
    assert said.count("of the same number") == 1  # not of relatives in the SAE itself
    assert f"; {len(same)} of them closest to the feature of the same number" in said
    elsewhere = tmp_path / "elsewhere"
    kept_one = SaeBundle.load(tmp_path / "kept")
    card = replace(kept_one.card, site="backbone.0")
    SaeBundle(kept_one.sae, card, type(kept_one.catalogue)(card.site, [])).save(elsewhere)
    there = collect_planted(tmp_path / "there", site="backbone.0")
    run(bundle, activations, "--to", elsewhere, there)
    assert "of the same number" not in said_in(capsys)  # numbers of another site mean nothing


def test_another_collection_is_compared_where_both_have_the_inference(
    bundle: Path, activations: Path, tmp_path: Path
) -> None:
    less = collect_planted(tmp_path / "less", episodes=3)
    run(bundle, activations, "--to", turned(bundle, tmp_path / "other"), less)
    assert [one.inferences for one in read_relatives(bundle, SaeBundle.load(bundle).bundle_id)] == [
        240,
        60,
    ]


def test_what_cannot_be_compared_is_refused_and_the_file_stays(
    bundle: Path, activations: Path, tmp_path: Path
) -> None:
    run(bundle, activations)
    before = (bundle / RELATED_FILE).read_bytes()
    elsewhere = tmp_path / "elsewhere"
    first = SaeBundle.load(bundle)
    card = replace(first.card, policy_id="ffff0000")
    SaeBundle(first.sae, card, first.catalogue).save(elsewhere)
    for more, words in (
        (["--to", elsewhere], "ffff0000"),
        (["--to", bundle, activations, activations], "BUNDLE or BUNDLE ACTIVATIONS"),
        (["--least", "2"], "above 0, at most 1"),
        (["--top", "0"], "1 or more"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            run(bundle, activations, *more)
    assert (bundle / RELATED_FILE).read_bytes() == before
    (bundle / RELATED_FILE).write_text("{}")
    with pytest.raises(ConfigurationError, match="Delete it and run `vla-sae relate`"):
        read_relatives(bundle, first.bundle_id)


def test_the_report_has_them(bundle: Path, activations: Path, tmp_path: Path) -> None:
    run(bundle, activations)
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    page = tmp_path / "report.html"
    report.run(parser.parse_args([str(bundle), "--out", str(page)]))
    text = page.read_text()
    assert '"related"' in text and '"label": "mine"' in text
