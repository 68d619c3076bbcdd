"""The page of a study."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted_study import Plan, Planted, write_planted_study

from vla_sae_ros import cli
from vla_sae_ros.study.experiment.measure.analysis import Analysis, analyse
from vla_sae_ros.study.experiment.measure.effects import CLOSED, HEIGHT, SPEED
from vla_sae_ros.study.experiment.measure.measured import MeasuredArm
from vla_sae_ros.study.experiment.records.files import Trajectory
from vla_sae_ros.study.experiment.records.table import Row
from vla_sae_ros.study.experiment.report.axis import Axis
from vla_sae_ros.study.experiment.report.layer_marks import layer_marks
from vla_sae_ros.study.experiment.report.necessity import necessity
from vla_sae_ros.study.experiment.report.paths import page_paths
from vla_sae_ros.study.experiment.report.videos import page_films
from vla_sae_ros.study.experiment.report.wording import MINUS, Scale, say_p

FEATURES = {80: Planted("end effector high", higher=0.06), 7: Planted("<b>late</b>")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("study")
    write_planted_study(
        made,
        Plan(FEATURES, (0.5,), tasks=2, inits=5, random_rows=3, gaussians=1, every_protocol=True),
    )
    return made


@pytest.fixture(scope="module")
def analysis(folder: Path) -> Analysis:
    return analyse(folder)


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    out = folder / "out" / "report.html"
    assert cli.main(["report", str(folder), "--out", str(out)]) == 0
    return out.read_text("utf-8")


def constant(page: str, name: str) -> dict:
    found = re.search(rf"^const {name} = (.*);$", page, re.MULTILINE)
    assert found
    return json.loads(found[1])


def test_the_page_says_the_verdicts_and_loads_nothing(page: str) -> None:
    assert "does what its name says" in page and "causal" in page
    without_plotly = re.sub(r'<script type="text/plain".*?</script>', "", page, flags=re.DOTALL)
    assert not re.search(r'(src|href)="?(https?:)?//', without_plotly)
    assert "<b>late</b>" not in without_plotly, "labels are text, not markup"


def test_every_number_leads_to_its_runs(page: str, analysis: Analysis) -> None:
    runs = constant(page, "RUNS")
    keys = {key.replace("&#39;", "'") for key in re.findall(r'data-arm="([^"]+)"', page)}
    assert keys and keys <= set(runs)
    listed = {run[0] for arm in runs.values() for run in arm["runs"]}
    assert listed == {row.run_id for row in analysis.rows}
    steered = runs[next(key for key in runs if "feature 80" in key and key.startswith("P2"))]
    assert len(steered["runs"]) == 10 and all(run[1] for run in steered["runs"])
    assert ["strength", "0.5"] in steered["settings"]


def test_the_numbers_lie_beside_the_page(folder: Path, page: str) -> None:
    content = json.loads((folder / "out" / "report.json").read_text("utf-8"))
    verdicts = {(one["protocol"], *one["features"]): one["outcome"] for one in content["verdicts"]}
    assert verdicts["P2", 80] == "causal" and verdicts["P2", 7] != "causal"
    assert content["identical_at_zero"] == [10, 10]
    unread = next(one for one in content["layers"] if one["site"] == "backbone.1")
    assert unread["exact"] and unread["displacement"] == 0.0
    assert [one["kind"] for one in content["latencies"]] == ["none", "zero", "feature"]


def test_paths_are_the_recorded_ones_and_limited(analysis: Analysis) -> None:
    arms = [arm for arm in analysis.arms if arm.row.arm == "feature" and arm.row.protocol == "P2"]
    whole = page_paths(analysis.folder, arms, most=1000)
    assert whole["left_out"] == 0 and len(whole["order"]) == 2
    few = page_paths(analysis.folder, arms, most=6)
    assert len(few["runs"]) <= 6 and few["left_out"] > 0
    assert set(few["order"]) == {arm.key for arm in arms}, "each arm's first pair comes first"
    run_id, first = next(iter(whole["runs"].items()))
    points = np.array(first["p"]).reshape(-1, 3)
    recorded = Trajectory.load(analysis.folder / "files" / f"{run_id}.npz").ee_position
    assert len(points) <= 61
    assert np.abs(points[[0, -1]] / 1000 - recorded[[0, -1]]).max() <= 0.0005


def test_films_are_within_the_limit_and_every_arms_first_comes_first(
    analysis: Analysis, tmp_path: Path
) -> None:
    arms = [
        filmed(arm, tmp_path)
        for arm in analysis.arms
        if arm.row.arm == "feature" and arm.row.protocol == "P2"
    ][::-1]
    whole = page_films(tmp_path, arms, limit=1.0)
    assert whole["left_out"] == 0 and whole["order"] == [arm.key for arm in arms]
    pair, (plain, said), (steered, _) = whole["arms"][arms[0].key][3]
    row, twin = arms[0].rows[3], arms[0].twins[3]
    assert (pair, plain, steered) == (row.pair, twin.run_id, row.run_id)
    assert said.startswith("plain: ") and f"{twin.steps} steps" in said
    kind, content = whole["uris"][steered].split(",")
    assert (kind, base64.b64decode(content)) == ("data:video/mp4;base64", row.run_id.encode() * 9)
    one_size = len(whole["uris"][steered])
    few = page_films(tmp_path, arms, limit=3.5 * one_size / 1e6)  # a twin and two arms' runs
    assert [len(few["arms"][arm.key]) for arm in arms] == [1, 1] and few["left_out"] == 18


def filmed(arm: MeasuredArm, folder: Path) -> MeasuredArm:
    """Give every run of an arm, and every twin, a "video" made of its own id."""

    def with_video(row: Row) -> Row:
        (folder / row.run_id).write_bytes(row.run_id.encode() * 9)
        return replace(row, video=row.run_id)

    return replace(
        arm, rows=tuple(map(with_video, arm.rows)), twins=tuple(map(with_video, arm.twins))
    )


def test_the_layer_that_nothing_reads_is_exactly_zero(analysis: Analysis) -> None:
    found = {one.name: one for one in layer_marks(analysis.layers)}
    assert found["backbone.1"].text == "exactly 0"
    assert {one.site for one in analysis.layers if one.exact} == {"backbone.1"}
    assert found["expert.0"].middle > found["backbone.0"].middle


def test_necessity_and_latency_have_their_numbers(analysis: Analysis) -> None:
    found = necessity(analysis.rows, analysis.found)
    marks = {one.name.split(" features")[0]: one for one in found}
    assert marks["plain"].text == "100%" and marks["top general"].text == "0%"
    assert "McNemar p = 0.006" in marks["top general"].detail, "2 / 2^10, times 3 by Holm"
    off, on, steering = analysis.latencies
    assert off.ratio == 1.0 and on.ratio is not None and on.ratio > 1
    assert steering.restored and steering.answers_after == 1


def test_a_study_is_not_a_bundle(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["report", str(folder), "--out", str(folder / "x.html"), "--labelling", "3"]
    assert cli.main(command) == 2
    assert "a study's folder" in capsys.readouterr().err
    assert not (folder / "x.html").exists()


def test_numbers_are_said_in_handy_units() -> None:
    assert Scale.of(HEIGHT).say(-0.0123) == f"{MINUS}12.3"
    assert Scale.of(CLOSED).say(0.25) == "+25"
    assert Scale.of(SPEED).say(0.00001) == "0"
    assert (say_p(0.0004), say_p(0.0312), say_p(float("nan"))) == (
        "p < 0.001",
        "p = 0.031",
        "not tested",
    )


def test_axes_have_round_ticks_and_hold_zero() -> None:
    axis = Axis.over([0.003, 0.0171, float("inf")])
    assert axis.low == 0.0 and axis.high > 0.0171
    assert axis.ticks == pytest.approx((0.0, 0.005, 0.01, 0.015))
    assert axis.share(-1.0) == 0.0
    assert Axis.over([]).ticks
