"""The study of data and generality: which data its policies get, and its regression."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.stats
import torch
from tool_module import tool_module

from vla_sae_ros.activations.format import CollectedSite, Collection
from vla_sae_ros.activations.writer import ActivationWriter
from vla_sae_ros.cli import main
from vla_sae_ros.core.catalogue import Catalogue
from vla_sae_ros.core.errors import VlaSaeError
from vla_sae_ros.core.picture_record import PictureRecord, write_picture_record
from vla_sae_ros.policy.checkpoints.policy_id import policy_id_of
from vla_sae_ros.sae import SaeBundle, TopKSAE
from vla_sae_ros.sae.bundle import BundleCard
from vla_sae_ros.study.demonstrations.files import (
    Episode,
    EpisodeInfo,
    read_episode,
    read_index,
    write_episode,
)


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return tool_module("data_and_generality")


def demonstration(tool: ModuleType, folder: Path, number: int) -> None:
    """Write the layout's demonstration, of 8 steps and 2 + number pictures of this number."""
    plan = tool.layout_plan(0, number)
    pictures = 2 + number
    info = EpisodeInfo(
        f"{number}.npz", plan.suite, 0, "pick up", plan.target, plan.init_state, plan.seed,
        plan.layout.move_objects_m, None, "expert", 8, True, plan.layout.shuffle,
    )  # fmt: skip
    episode = Episode(
        np.full((pictures, 2, 4, 4, 3), number, np.uint8),
        np.arange(pictures, dtype=np.int32),
        np.full((8, 8), number, np.float32),
        np.full((8, 7), number, np.float32),
        np.zeros((8, 7), np.float32),
        np.zeros(8, np.bool_),
        np.zeros((8, 6), np.float32),
    )
    write_episode(folder, info, episode)
    write_picture_record(folder, PictureRecord("full", "3.3.0"))


@pytest.fixture
def demos(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tool, "MOST_LAYOUTS", 6)
    for number in range(6):
        demonstration(tool, tmp_path / "demos" / "task_0", number)
    return tmp_path / "demos"


def test_a_larger_arm_has_the_layouts_of_a_smaller_one_and_seeds_have_others(tool):
    few, many = tool.Arm(3, 5), tool.Arm(3, 20)
    chosen = {
        (arm, seed): set(tool.chosen_layouts(arm, seed, 80))
        for arm in (few, many)
        for seed in (0, 1)
    }
    assert chosen[few, 0] < chosen[many, 0] and chosen[few, 0] != chosen[few, 1]
    assert [len(chosen[arm, 0]) for arm in (few, many)] == [5, 20]


def test_seen_layouts_are_those_of_the_training_and_unseen_ones_are_held_out(tool, demos):
    arm = tool.Arm(1, 3)
    tool.gather(demos, demos / "own", arm, 0)
    trained = {(info.init_state, info.seed) for info in read_index(demos / "own")}
    seen = tool.seen_trials(arm, 0)
    assert {(trial.init_state, trial.seed) for trial in seen} == trained and len(seen) == 3
    for trial in tool.unseen_trials((0, 1)):
        assert trial.init_state >= 40 and trial.seed >= 1_000_000
    assert {trial.layout.move_objects_m for trial in seen} == {tool.MOVE_M}


def test_shuffled_demonstrations_have_their_own_labels_and_anothers_pictures(tool, demos):
    plain, shuffled = tool.Arm(1, 4), tool.Arm(1, 4, shuffled=True)
    tool.gather(demos, demos / "plain", plain, 0)
    tool.gather(demos, demos / "shuffled", shuffled, 0)
    infos = read_index(demos / "shuffled")
    assert infos == read_index(demos / "plain")
    shown, own = [], []
    for info in infos:
        episode = read_episode(demos / "shuffled", info)
        other = read_episode(demos / "plain", info)
        assert episode.pictures.shape == other.pictures.shape
        np.testing.assert_array_equal(episode.labels, other.labels)
        shown.append(int(episode.pictures.flat[0]))
        own.append(int(other.pictures.flat[0]))
        assert (episode.pictures == shown[-1]).all()
    assert sorted(shown) == sorted(own)
    assert all(a != b for a, b in zip(shown, own, strict=True))


def test_an_interrupted_gathering_is_made_anew(tool, demos):
    own = demos / "own"
    tool.gather(demos, own, tool.Arm(1, 4), 0)
    (own / "whole").unlink()
    tool.gather(demos, own, tool.Arm(1, 4), 0)
    assert len(read_index(own)) == 4


def test_slopes_are_those_of_least_squares_with_their_intervals(tool):
    """With one varying column: scipy's linear regression is the independent answer."""
    layouts = [5, 20, 80] * 4
    noise = np.random.default_rng(0).normal(scale=0.02, size=12)
    share = 0.1 + 0.03 * np.log2(layouts) + noise
    tasks = [1, 3, 10, 3, 1, 10, 10, 1, 3, 1, 3, 10]
    found = tool.slopes({"layouts": layouts, "tasks": tasks}, share)
    by_layouts, by_tasks = found["layouts"], found["tasks"]
    assert by_layouts.low < 0.03 < by_layouts.high and by_layouts.p < 0.001
    assert by_tasks.low < 0 < by_tasks.high
    # Frisch-Waugh: regress both on the tasks first, then one residual on the other.
    rest = [
        np.asarray(y) - np.polyval(np.polyfit(np.log2(tasks), y, 1), np.log2(tasks))
        for y in (share, np.log2(layouts))
    ]
    assert by_layouts.value == pytest.approx(scipy.stats.linregress(rest[1], rest[0]).slope)
    alone = tool.slopes({"layouts": layouts, "tasks": [3] * 12}, share)
    one = scipy.stats.linregress(np.log2(layouts), share)
    assert alone.keys() == {"layouts"}
    assert (alone["layouts"].value, alone["layouts"].p) == pytest.approx((one.slope, one.pvalue))


def test_the_table_counts_what_is_there(tool, tmp_path, capsys):
    measured = {"value": 0.1, "low": 0.05, "high": 0.2, "coverage": 0.4, "values": [0.1]}
    sites = {site: measured for site in tool.SITES}
    sites["closed_loop"] = {
        site: measured | {"value": 0.3, "succeeded": 0.02, "failed": 0.4} for site in tool.SITES
    }
    for arm in tool.ARMS[:2]:
        for seed in range(3):
            folder = tmp_path / f"{arm}-{seed}"
            folder.mkdir()
            result = {"arm": str(arm), "seed": seed, "seen": [10, 12], "unseen": [6, 12]}
            result |= {**vars(replace(arm)), **sites}
            result["expert.1"] = measured | {"value": 0.1 * seed}
            (folder / "result.json").write_text(json.dumps(result))
    tool.print_table(tmp_path, tool.results_in(tmp_path, None))
    said = capsys.readouterr().out
    assert "3x5, 3 seeds" in said and "seen layouts: 30 / 36" in said
    assert "unseen layouts: 18 / 36" in said and "recorded, backbone.1 general: 10.0%" in said
    assert "closed loop, backbone.1 general: 30.0%" in said
    assert "closed loop, backbone.1 general in episodes that failed: 40.0%" in said
    assert "recorded, backbone.1 value: 10.00% in each of the 6 runs" in said
    assert "recorded, expert.1 value, per doubling of layouts: " in said
    assert "per doubling of tasks" not in said  # there is one number of tasks


def test_known_results_count_and_are_not_made_again(tool, tmp_path, monkeypatch):
    known = tmp_path / "known.jsonl"
    site = {site: {"value": 0.1, "values": [0.1] * 3} for site in tool.SITES}
    site |= {"start": policy_id_of(tool.START)}
    lines = [{"arm": arm, "seed": 0} | site for arm in ("start", "3x5", "3x80")]
    known.write_text("".join(json.dumps(line) + "\n" for line in lines))
    own = tmp_path / "3x5-0" / "result.json"
    own.parent.mkdir()
    own.write_text(json.dumps({"arm": "3x5", "seed": 0, "mine": True} | site))
    found = tool.results_in(tmp_path, known)
    assert [one["arm"] for one in found] == ["3x5", "start", "3x80"] and found[0]["mine"]
    arms = [arm for arm in tool.ARMS if str(arm) in ("3x5", "3x80")]
    submitted = []

    class NoPool:
        """In place of the processes: notes what they would do."""

        def __init__(self, *_arguments):
            pass

        __enter__ = __exit__ = lambda self, *_: self

        def submit(self, *job):
            submitted.append(job)

    monkeypatch.setattr(tool, "ProcessPoolExecutor", NoPool)
    monkeypatch.setattr(tool, "as_completed", lambda jobs: ())
    tool.run_all(tmp_path, 1, 1, tool.Options(), arms, known)
    assert not submitted
    shutil.copytree(tool.START, tmp_path / "another")
    with (tmp_path / "another" / "model.safetensors").open("ab") as weights:
        weights.write(b" ")
    with pytest.raises(VlaSaeError, match=f"started from policy {site['start']}"):
        tool.run_all(tmp_path, 1, 1, tool.Options(start=tmp_path / "another"), arms, known)
    assert not submitted


def test_a_policy_that_was_not_measured_with_every_sae_is_measured_again(tool):
    known = {"arm": "3x5", "seed": 0, tool.CLOSED_LOOP: {site: {} for site in tool.SITES}}
    assert not tool.is_whole(known, 1), "in its own episodes only"
    one = known | {site: {"values": [0.1]} for site in tool.SITES}
    assert tool.is_whole(one, 1) and not tool.is_whole(one, 3)
    by_measurement = tool.by_measurement([known, one])
    assert by_measurement["recorded"] == [one] and len(by_measurement["closed loop"]) == 2


def test_a_sites_result_is_the_mean_over_its_saes(tool):
    each = [{"value": 0.01, "low": 0.0, "firing": 410}, {"value": 0.03, "low": 0.02, "firing": 400}]
    mean = tool.mean_of(each)
    assert mean == {
        "value": pytest.approx(0.02),
        "low": pytest.approx(0.01),
        "firing": 405,
        "values": [0.01, 0.03],
    }


def test_the_picture_shows_every_result_of_the_page():
    drawing = tool_module("plot_data_and_generality")
    lines = (
        (Path(__file__).parents[1] / "docs" / "data_and_generality.jsonl").read_text().splitlines()
    )
    results = [json.loads(line) for line in lines]
    backbone, expert, coverage, own = drawing.draw(results).axes
    assert len(backbone.get_yticklabels()) == len({one["arm"] for one in results})
    assert len(coverage.lines) == 2 * len(results)
    assert len(backbone.lines) == 2 * len(results) and len(expert.lines) == len(results)
    shown = {line.get_xdata()[0] for line in own.lines}
    played = [one["closed_loop"]["expert.1"] for one in results if "closed_loop" in one]
    assert {100 * one[kind] for one in played for kind in ("succeeded", "failed")} == shown


def test_an_saes_own_onset_threshold_is_half_of_its_median_peak(tool, tmp_path):
    """As `vla-sae classify --tau` with that threshold, which is worked out here by hand."""
    width, site = 6, "expert.1"
    eye = torch.eye(width)
    sae = TopKSAE(eye, torch.zeros(width), eye, torch.zeros(width), 4, "none")
    card = BundleCard(
        "0123abcd", "tiny", site, width, width, 4, "mean", ("action",), "none", 1.0, 1.0
    )
    bundle = tmp_path / "bundle"
    SaeBundle(sae, card, Catalogue(site, [])).save(bundle)
    collection = Collection(
        "0123abcd", "tiny", {site: CollectedSite(width, "mean", ("action",))}, 20.0
    )
    random = np.random.default_rng(0)
    episodes = random.normal(size=(8, 20, width)) - 0.5
    with ActivationWriter(tmp_path / "activations", collection) as writer:
        for number, episode in enumerate(episodes):
            for step, x in enumerate(episode):
                writer(site, x, {"episode_id": f"e{number}", "step": step})
            writer.end_episode(success=True)
    codes = np.maximum(episodes / np.linalg.norm(episodes, axis=2, keepdims=True), 0)
    codes[codes < np.sort(codes, axis=2)[:, :, -4, None]] = 0  # the SAE keeps four
    peaks = codes.max(axis=1)
    tau = np.median([each[each > 0].mean() for each in peaks.T]) / 2
    arguments = ["classify", bundle, tmp_path / "activations", "--tau", tau, "--draws", 2]
    assert main([str(word) for word in arguments]) == 0
    record = json.loads((bundle / tool.GENERALITY_FILE).read_text())
    found = tool.at_proposed_onset(bundle, tmp_path / "activations")
    assert found == record["general_share"]["value"] > 0
