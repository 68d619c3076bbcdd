"""`vla-sae monitor fit` and `score` on collected episodes whose failures are known to drift."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from monitored import POLICY_ID, SITE, axes_bundle, write_collection

from vla_sae_ros.activations.dataset import ActivationDataset
from vla_sae_ros.cli import main
from vla_sae_ros.monitors.monitor import Monitor


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sae") / "bundle"
    axes_bundle().save(folder)
    return folder


@pytest.fixture(scope="module")
def activations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_collection(tmp_path_factory.mktemp("act") / "activations", 60, 12, seed=1)


@pytest.fixture(scope="module")
def monitor(tmp_path_factory: pytest.TempPathFactory, activations: Path, bundle: Path) -> Path:
    out = tmp_path_factory.mktemp("monitor") / "monitor"
    given = ["--sae", str(bundle), "--false-alarms", "0.1", "--out", str(out)]
    assert main(["monitor", "fit", str(activations), *given]) == 0
    return out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["monitor", *words]) == 2
    return capsys.readouterr().err


def test_the_card_says_what_it_was_calibrated_on(monitor: Path, bundle: Path) -> None:
    card = yaml.safe_load((monitor / "monitor.yaml").read_text())
    assert (card["policy_id"], card["site"], card["control_rate"]) == (POLICY_ID, SITE, 20.0)
    assert card["bundle_id"] == axes_bundle().bundle_id
    assert (card["fit_episodes"], card["calibration_episodes"]) == (24, 24)
    assert (card["failing_fit_episodes"], card["interval"]) == (8, 2)
    assert len(card["seen"]) == 56
    names = [one["name"] for one in card["scores"]]
    assert names == ["fvu", "mahalanobis", "probe", "time", "stillness"]
    assert sorted(path.name for path in monitor.iterdir()) == [
        "monitor.safetensors",
        "monitor.yaml",
    ]


def test_calibration_on_the_episodes_of_the_saes_training_is_warned_of(
    activations: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    episodes = [one.episode_id for one in ActivationDataset.open(activations).episodes]
    sae = axes_bundle()
    card = replace(sae.card, data={"held_out_episodes": episodes[:7]})
    replace(sae, card=card).save(tmp_path / "trained")
    for folder, warned in ((bundle, False), (tmp_path / "trained", True)):
        out = tmp_path / f"{folder.name}_monitor"
        assert (
            main(["monitor", "fit", str(activations), "--sae", str(folder), "--out", str(out)]) == 0
        )
        said = " ".join(capsys.readouterr().out.split())
        assert (
            f"trained on {len(episodes) - 7} of these {len(episodes)} episodes" in said
        ) == warned


def test_failures_are_caught_at_about_the_rate_of_false_alarms_that_was_named(
    monitor: Path, bundle: Path, tmp_path: Path
) -> None:
    fresh = write_collection(tmp_path / "fresh", 60, 10, seed=2)
    out = tmp_path / "out"
    given = ["--sae", str(bundle), "--out", str(out)]
    assert main(["monitor", "score", str(monitor), str(fresh), *given]) == 0
    rows = {row["score"]: row for row in csv.DictReader((out / "monitor.csv").open())}
    assert set(rows) == set(Monitor.load(monitor).scores)
    for row in rows.values():
        low, high = float(row["rate_low"]), float(row["rate_high"])
        assert low < 0.17 and high > 0.04  # 24 calibration episodes: 2 % to 23 %
        assert row["successes"] == "60" and row["failures"] == "10"
    assert rows["mahalanobis"]["caught"] == rows["probe"]["caught"] == "10"
    assert rows["stillness"]["caught"] == "10"
    assert float(rows["time"]["auroc"]) == 0.5
    # They drift from the tenth of twenty inferences on, one second before the end.
    assert 0.7 < float(rows["mahalanobis"]["median_seconds_before_the_end"]) <= 1.1
    over_time = list(csv.DictReader((out / "auroc.csv").open()))
    late = [r for r in over_time if r["score"] == "probe" and float(r["time_s"]) == 1.1]
    assert float(late[0]["auroc_within_tasks"]) > 0.95
    assert (out / "monitor.png").stat().st_size > 10_000


def test_what_the_monitor_has_seen_is_left_out(
    monitor: Path, activations: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["monitor", "score", str(monitor), str(activations), "--sae", str(bundle)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "12 successful and 4 failing episodes; 56 that the monitor has seen" in said


def test_nothing_that_is_new_is_refused(
    activations: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_collection(tmp_path / "few", 20, 0, seed=5)
    given = ["--sae", str(bundle), "--out", str(tmp_path / "m"), "--fit", "0.5"]
    assert main(["monitor", "fit", str(folder), *given, "--calibration", "0.5"]) == 0
    words = refused(capsys, "score", str(tmp_path / "m"), str(folder), "--sae", str(bundle))
    assert "0 of 20" in words


def test_another_policys_activations_are_refused(
    monitor: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_collection(tmp_path / "other", 2, 0, seed=3, policy_id="fedc")
    words = refused(capsys, "score", str(monitor), str(other), "--sae", str(bundle))
    assert "fedc" in words and POLICY_ID in words


def test_what_cannot_be_fitted_is_refused(
    activations: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["fit", str(activations), "--sae", str(bundle), "--out", str(tmp_path / "m")]
    assert "at least 99" in refused(capsys, *given, "--false-alarms", "0.01")
    assert "above 0, below 1" in refused(capsys, *given, "--false-alarms", "1.5")
    assert "--window" in refused(capsys, *given, "--window", "-1")
    assert "backbone.7" in refused(capsys, *given, "--site", "backbone.7")
    few = write_collection(tmp_path / "few", 30, 1, seed=4)
    given[1] = str(few)
    assert "2 up" in refused(capsys, *given, "--score", "probe", "--fit", "0.3")
    assert not (tmp_path / "m").exists()
    taken = tmp_path / "taken"
    taken.mkdir()
    assert "exists already" in refused(
        capsys, "fit", str(few), "--sae", str(bundle), "--out", str(taken)
    )


def test_a_folder_that_is_no_monitor_is_refused(
    activations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "vla-sae monitor fit" in refused(capsys, "score", str(tmp_path), str(activations))
