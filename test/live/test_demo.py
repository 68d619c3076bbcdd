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
from vla_sae_ros.live.demo import _emptied, _explain
from vla_sae_ros.live.demo_settings import read_demo_settings
from vla_sae_ros.resources import resource

pytestmark = pytest.mark.slow  # real nodes load a real policy and LIBERO


def test_a_folder_with_foreign_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigurationError, match=r"thesis\.tex"):
        _emptied(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_an_earlier_demonstration_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("{}")
    assert list(_emptied(tmp_path).iterdir()) == []


def test_the_commands_to_try_are_whole_lines_on_a_narrow_terminal_and_those_of_the_readme(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    ran = {"success": True, "steps": 88}
    _explain(
        read_demo_settings(resource("config", "demo.yaml")),
        {"instruction": "go", "plain": ran, "steered": ran},
        Path("out/demo"),
    )
    shown = [line.strip() for line in capsys.readouterr().out.partition("Then try")[2].splitlines()]
    commands = [line for line in shown if line.startswith(("vla-sae ", "source "))]
    readme = (Path(__file__).parents[2] / "README.md").read_text().splitlines()
    known = [line.partition("#")[0].strip() for line in readme]
    assert len(commands) == 7 and set(commands) <= set(known), commands


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
