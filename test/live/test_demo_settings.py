"""config/demo.yaml and files like it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError
from vla_sae_ros.live import demo
from vla_sae_ros.live.demo_settings import DemoSettings, read_demo_settings
from vla_sae_ros.resources import resource


def test_the_shipped_settings_can_be_read_and_steer_inside_a_window() -> None:
    settings = read_demo_settings(resource("config", "demo.yaml"))
    assert settings.suite == "libero_object"
    assert settings.steering.edits
    for edit in settings.steering.edits:
        start, end = edit.window
        assert 0.0 < start < end


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not YAML"),
        ("suite: libero_object", "`task` is missing"),
        (
            "{suite: s, task: 0, init_state: 0, seed: 0, image_rate: 10.0, steering: {}}",
            "`steering.format` is missing",
        ),
        (
            "{suite: s, task: 0, init_state: 0, seed: 0, image_rate: 10.0, "
            "steering: {format: 1, name: n, edits: []}}",
            "at least one",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused_by_key(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(text)
    with pytest.raises(VlaSaeError, match=says):
        read_demo_settings(path)


def test_a_missing_settings_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml"):
        read_demo_settings(tmp_path / "nowhere.yaml")


def test_another_task_can_be_named_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[DemoSettings] = []

    def note(settings: DemoSettings, *_: object) -> None:
        asked.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_roll_out", note)
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    for words, task in (([], 0), (["--task", "3"], 3)):
        with pytest.raises(KeyboardInterrupt):
            demo.run(parser.parse_args([*words, "--output", str(tmp_path / "demo")]))
        assert (asked[-1].task, asked[-1].seed) == (task, 7)
