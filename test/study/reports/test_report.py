"""Pages about a bundle: self-contained, escaped, bounded, and labels that classify reads."""

from __future__ import annotations

import argparse
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_features import (
    CARRYING,
    NAMED,
    RARE,
    SILENT,
    WIDTH,
    collect_planted,
    planted_bundle,
)

from vla_sae_ros import cli
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sae import SaeBundle
from vla_sae_ros.study.features.feature_activity import BINS, binned
from vla_sae_ros.study.features.generality import classify
from vla_sae_ros.study.features.generality.generality_labels import GeneralityLabels
from vla_sae_ros.study.features.labels import label
from vla_sae_ros.study.features.labels.top_episodes import Peak
from vla_sae_ros.study.pages.histogram_svg import histogram_svg
from vla_sae_ros.study.reports import report
from vla_sae_ros.study.reports.contact_frames import Sheet, contact_frames
from vla_sae_ros.study.reports.labelling_page import LabelsText

ODD = "</script><img src=x onerror=alert(1)> \"&'"


def run(command: Any, *arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return int(command.run(parser.parse_args([*map(str, arguments)])))


@pytest.fixture(scope="module")
def activations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collect_planted(tmp_path_factory.mktemp("planted") / "activations", frames=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, activations: Path) -> Path:
    """A bundle that was classified and labelled, with an odd label by a person."""
    folder = planted_bundle(tmp_path_factory.mktemp("bundles") / "bundle", label=ODD)
    run(classify, folder, activations, "--draws", "5")
    run(label, folder, activations)
    return folder


def constant(page: str, name: str) -> Any:
    """The value of one of the script's constants."""
    found = re.search(rf"^const {name} = (.*);$", page, re.MULTILINE)
    assert found is not None
    return json.loads(found[1])


class Tags(HTMLParser):
    """Every tag of a page outside its scripts, with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_report_is_one_file_with_table_histograms_traces_and_pictures(
    bundle: Path, activations: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "report.html"
    assert run(report, bundle, "--activations", activations, "--out", out) == 0
    page = out.read_text()
    card = SaeBundle.load(bundle).card
    for text in (card.policy_id, card.site, "0.0300", "FVU by task", "95 % interval"):
        assert text in page
    assert page.count('class="histogram"') == 5
    rows = {row["feature"]: row for row in constant(page, "ROWS")}
    assert sorted(rows) == list(range(WIDTH))
    carrying = rows[CARRYING]
    assert (carrying["label"], carrying["variable"]) == ("phase: carry", "phase carry")
    assert carrying["top"][0][:3] == ["e11", carrying["top"][0][1], 3.11]
    frames = constant(page, "FRAMES")
    assert frames[carrying["top"][0][3]].startswith("data:image/jpeg;base64,")
    assert len(carrying["trace"]) == BINS and max(carrying["trace"]) == 100
    assert not rows[SILENT]["alive"] and rows[SILENT]["trace"] is None
    assert rows[RARE]["density"] == pytest.approx(1 / 240, rel=1e-3)
    assert rows[RARE]["class"] == "memorized" and rows[SILENT]["class"] == "dead"


def test_nothing_on_a_page_is_fetched_from_elsewhere(
    bundle: Path, activations: Path, tmp_path: Path
) -> None:
    for more in ((), ("--labelling", "3")):
        out = tmp_path / "page.html"
        run(report, bundle, "--activations", activations, "--out", out, *more)
        page = out.read_text()
        tags = Tags(page).found
        assert not [tag for tag, _ in tags if tag in ("link", "iframe", "object", "embed")]
        linked = [attrs.get(one) or "" for _, attrs in tags for one in ("src", "href")]
        assert not [one for one in linked if one and not one.startswith("data:")]
        assert "fetch(" not in page and "XMLHttpRequest" not in page and "@import" not in page
        assert "prefers-color-scheme: dark" in page


def test_odd_text_in_labels_is_text(bundle: Path, activations: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    run(report, bundle, "--activations", activations, "--out", out)
    page = out.read_text()
    assert page.count("</script>") == 1 and "onerror=alert(1)>" not in page
    rows = {row["feature"]: row for row in constant(page, "ROWS")}
    assert rows[NAMED]["label"] == ODD


def test_without_activations_the_report_says_what_is_not_there(
    tmp_path: Path, bundle: Path
) -> None:
    bare = planted_bundle(tmp_path / "bare")
    run(report, bare, "--out", tmp_path / "bare.html")
    page = (tmp_path / "bare.html").read_text()
    for text in ("Not classified yet", "Not labelled by evidence yet", "Without <code>--activa"):
        assert text in page
    run(report, bundle, "--out", tmp_path / "report.html")
    rows = constant((tmp_path / "report.html").read_text(), "ROWS")
    assert rows[CARRYING]["top"][0][0] == "e11", "from evidence.json"


def test_a_bundle_that_was_classified_long_ago_says_which_metric_lacks_and_what_to_run(
    bundle: Path, activations: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(bundle, old)
    content = json.loads((old / "generality.json").read_text())
    del content["magnitude"]
    (old / "generality.json").write_text(json.dumps(content))
    pages = []
    for folder in (old, bundle):
        run(report, folder, "--activations", activations, "--out", tmp_path / "report.html")
        pages.append((tmp_path / "report.html").read_text())
    hint = "Not in the bundle's <code>generality.json</code>: run <code>vla-sae classify</code>"
    assert [page.count(hint) for page in pages] == [1, 0]
    assert [page.count('class="histogram"') for page in pages] == [4, 5]
    assert "No values" not in pages[0]


def test_one_episode_is_not_called_episodes(
    bundle: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    collect_planted(alone, frames=True, episodes=1)
    run(report, bundle, "--activations", alone, "--out", tmp_path / "report.html")
    run(
        report, bundle, "--activations", alone, "--out", tmp_path / "label.html", "--labelling", "1"
    )
    for name in ("report.html", "label.html"):
        page = (tmp_path / name).read_text()
        assert "1 episode" in page and not re.search(r"\b1 episodes", page)


def test_pictures_stay_within_their_limit_and_what_is_left_out_is_said(
    bundle: Path, activations: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    run(report, bundle, "--activations", activations, "--out", out, "--most-frames", "0.003")
    page = out.read_text()
    frames = constant(page, "FRAMES")
    assert 0 < sum(map(len, frames)) <= 3000
    shown = {(e, step) for row in constant(page, "ROWS") for e, step, *_ in row["top"]}
    left = re.search(r"(\d+) more were left out for size", page)
    assert left is not None and int(left[1]) == len(shown) - len(frames)


def test_the_first_picture_of_every_sheet_comes_before_any_second(activations: Path) -> None:
    sheets = [
        Sheet(0, [Peak("e0", 0, 2.0), Peak("e1", 0, 1.0)]),
        Sheet(1, [Peak("e2", 5, 1.0), Peak("e0", 0, 1.0), Peak("e0", 3, 1.0)]),
    ]
    found = contact_frames(activations, "0123", sheets, 20.0)
    assert list(found.index) == [("e0", 0), ("e2", 5), ("e1", 0)]
    assert (found.missing, found.left_out, len(found.uris)) == (1, 0, 3)


def test_the_labels_of_the_labelling_page_are_those_that_classify_reads(
    bundle: Path, activations: Path, tmp_path: Path
) -> None:
    out = tmp_path / "label.html"
    run(report, bundle, "--activations", activations, "--out", out, "--labelling", "4")
    page = out.read_text()
    text, tags = constant(page, "TEXT"), Tags(page).found
    radios = [attrs for tag, attrs in tags if tag == "input" and attrs["type"] == "radio"]
    asked = list(dict.fromkeys(one["name"] for one in radios))
    assert len(asked) == 4 and constant(page, "ASKED") == 4
    assert {one["value"] for one in radios} == {"general", "memorized", "unsure"}
    assert not any("checked" in one for one in radios), "nothing is answered at first"
    # As labelling.js does.
    said = dict(zip(asked[:3], ("general", "memorized", "general"), strict=True))
    written = text["head"] + "".join(
        text["line"].replace("{feature}", name or "").replace("{class}", kind)
        for name, kind in said.items()
    )
    (tmp_path / "labels.yaml").write_text(written)
    bundle_id = SaeBundle.load(bundle).bundle_id
    loaded = GeneralityLabels.load(tmp_path / "labels.yaml", bundle_id, WIDTH)
    assert loaded.labels == {int(name or -1): kind for name, kind in said.items()}


def test_a_bundle_id_of_digits_stays_text_in_the_labels(tmp_path: Path) -> None:
    text = LabelsText.of("1234567890123456")
    line = text.line.replace("{feature}", "3").replace("{class}", "general")
    (tmp_path / "labels.yaml").write_text(text.head + line)
    GeneralityLabels.load(tmp_path / "labels.yaml", "1234567890123456", 4)


def test_a_labelling_page_asks_a_random_sample_and_tells_no_answer(
    bundle: Path, activations: Path, tmp_path: Path
) -> None:
    pages = []
    for seed in ("0", "0", "1"):
        out = tmp_path / "label.html"
        run(
            report,
            bundle,
            "--activations",
            activations,
            "--out",
            out,
            "--labelling",
            "4",
            "--seed",
            seed,
        )
        pages.append(out.read_text())
    assert pages[0] == pages[1] != pages[2]
    assert "phase: carry" not in pages[0] and "P(general)" not in pages[0]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--labelling", "6"), "1 to 5"),
        (("--labelling", "0"), "1 to 5"),
        (("--most-frames", "-1"), "0 MB or more"),
        (("--most-frames", "nan"), "0 MB or more"),
    ],
)
def test_pages_that_cannot_be_are_refused(
    bundle: Path, activations: Path, tmp_path: Path, arguments: tuple[str, ...], word: str
) -> None:
    with pytest.raises(ConfigurationError, match=word):
        run(report, bundle, "--activations", activations, "--out", tmp_path / "x.html", *arguments)
    assert not (tmp_path / "x.html").exists()


def test_labelling_needs_activations(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--activations"):
        run(report, bundle, "--out", tmp_path / "x.html", "--labelling", "3")


@pytest.mark.parametrize("text", ['{"bundle_id": "other"}', "{", "[]"])
def test_classes_of_another_bundle_are_refused(tmp_path: Path, text: str) -> None:
    bare = planted_bundle(tmp_path / "bare")
    (bare / "generality.json").write_text(text)
    with pytest.raises(ConfigurationError, match="vla-sae classify"):
        run(report, bare, "--out", tmp_path / "x.html")


def test_a_trace_is_the_mean_over_equal_parts_and_short_episodes_are_stretched() -> None:
    long = np.arange(4.0 * BINS)[:, None]
    np.testing.assert_allclose(binned(long)[:, 0], 1.5 + 4 * np.arange(BINS))
    short = binned(np.array([[1.0], [2.0]]))[:, 0]
    np.testing.assert_array_equal(short, np.repeat([1.0, 2.0], BINS // 2))


def test_a_histogram_counts_every_finite_value_once() -> None:
    values = np.array([0.0, 0.2, 0.2, 1.0, np.nan])
    svg = histogram_svg("<t>", "u", [("general", values), ("memorized", values[:1])])
    assert sum(map(int, re.findall(r"<title>(\d+)</title>", svg))) == 5
    assert "<t>" not in svg
    logarithmic = histogram_svg("t", "u", [("plain", values)], decades=True)
    assert sum(map(int, re.findall(r"<title>(\d+)</title>", logarithmic))) == 3
    assert "No values" in histogram_svg("t", "u", [("plain", np.array([np.nan]))])


def test_of_a_study_without_a_finished_run_it_says_how_to_make_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "study.yaml").write_text("name: quick\n")
    assert cli.main(["report", str(tmp_path), "--out", str(tmp_path / "page.html")]) == 2
    assert "vla-sae evaluate" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
