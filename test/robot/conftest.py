"""A Panda's settings, and an arm under them that somebody has enabled."""

from __future__ import annotations

import pytest
from arm_rig import Rig, rig_for

from vla_sae_ros.robot.settings import RobotSettings
from vla_sae_ros.robot.settings_file import load_robot


@pytest.fixture
def settings() -> RobotSettings:
    return load_robot("panda")


@pytest.fixture
def rig(settings: RobotSettings) -> Rig:
    """An arm that "panel" has enabled."""
    made = rig_for(settings)
    made.envelope.enable("panel", settings.lease)
    return made
