"""What the demonstration shows, from config/demo.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.settings import read_settings
from vla_sae_ros.core.steering import Preset, PresetFile
from vla_sae_ros.core.yaml_document import read_yaml


@dataclass(frozen=True)
class DemoSettings:
    """One episode, and the edits its second rollout is steered with.

    Attributes:
        suite, task, init_state, seed: as in RunEpisode.action.
        image_rate: [Hz] pictures for the video.
        steering: the edits.
    """

    suite: str
    task: int
    init_state: int
    seed: int
    image_rate: float
    steering: Preset


@dataclass(frozen=True)
class _File:
    suite: str
    task: int
    init_state: int
    seed: int
    image_rate: float
    steering: PresetFile


def read_demo_settings(path: Path) -> DemoSettings:
    """Read a settings file.

    Raises:
        ConfigurationError: naming the file, the line and what is wrong in it.
    """
    document = read_yaml(path)
    try:
        file = read_settings(_File, document, "the demonstration's settings")
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    if not file.steering.edits:
        raise ConfigurationError(complaint(f"edits in {path}", "none", "at least one"))
    return DemoSettings(
        file.suite, file.task, file.init_state, file.seed, file.image_rate, file.steering.preset
    )
