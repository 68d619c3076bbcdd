"""`vla-sae demo`, with the shipped policy, real LIBERO and real DDS."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import pytest
from patience import WORK

from vla_sae_ros.bags.reading import read_bag
from vla_sae_ros.cli import main
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.live.demo import _emptied

pytestmark = pytest.mark.slow  # real nodes load a real policy and LIBERO


def test_a_folder_with_foreign_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigurationError, match=r"thesis\.tex"):
        _emptied(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_an_earlier_demonstration_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("{}")
    assert list(_emptied(tmp_path).iterdir()) == []


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "vla_sae_ros.cli", "demo", "--panel", "no", "--output", "out"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=WORK, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return folder / "out"


def test_the_summary_tells_what_happened_and_agrees_with_the_bag(output: Path) -> None:
    summary = json.loads((output / "summary.json").read_text())
    plain, steered = read_bag(output / "bag", pictures=False).episodes
    assert summary["plain"]["actions_sha256"] == plain.actions_sha256
    assert summary["steered"]["actions_sha256"] == steered.actions_sha256 != plain.actions_sha256
    assert (summary["plain"]["steps"], summary["plain"]["success"]) == (
        plain.steps,
        plain.succeeded,
    )
    assert summary["instruction"] == plain.instruction
    published = sum(len(s.step) for e in (plain, steered) for s in e.features.values())
    assert summary["features_published"] == published > 0
    assert summary["missed_deadlines"] == 0


def test_the_bag_replays_to_the_bit(output: Path, tmp_path: Path) -> None:
    assert main(["bag", "replay", str(output / "bag"), "--output", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "replay.json").read_text())
    assert report["identical"] and report["replayed"] > 40


def test_actions_are_the_plain_ones_until_the_steering_window_begins(output: Path) -> None:
    plain, steered = read_bag(output / "bag", pictures=False).episodes
    assert plain.steering_windows() == []
    (first, last), *_ = steered.steering_windows()
    assert 0 < first < last
    assert (plain.actions[:first] == steered.actions[:first]).all()
    assert (plain.actions[first:last] != steered.actions[first:last]).any()


def test_the_video_has_a_frame_per_control_step_and_the_plot_is_a_picture(output: Path) -> None:
    plain, steered = read_bag(output / "bag", pictures=False).episodes
    frames, _ = imageio_ffmpeg.count_frames_and_secs(str(output / "video.mp4"))
    assert frames >= max(plain.steps, steered.steps)
    assert (output / "traces.png").read_bytes().startswith(b"\x89PNG")
