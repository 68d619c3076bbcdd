"""What the demonstration shows, from config/demo.yaml."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.steering import Preset, parse_preset


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


def read_settings(path: Path) -> DemoSettings:
    """Read a settings file.

    Raises:
        ConfigurationError: naming the file and what is wrong in it.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"the demonstration's settings {path} cannot be read: {error}"
        ) from error
    names = {field.name for field in fields(DemoSettings)}
    if not isinstance(content, dict) or set(content) != names:
        raise ConfigurationError(complaint(f"keys of {path}", content, sorted(names)))
    steering = parse_preset(yaml.safe_dump(content["steering"]))
    if not steering.edits:
        raise ConfigurationError(complaint(f"edits in {path}", [], "at least one"))
    return DemoSettings(**{**content, "steering": steering})
