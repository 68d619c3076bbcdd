"""The envelope over an arm that follows late: what is sent and what is measured."""

from __future__ import annotations

import pytest
from lagging_arm import drive

from vla_sae_ros.robot.envelope.measured_guard import BREACH
from vla_sae_ros.robot.settings_file import load_robot


@pytest.mark.parametrize("name", ["panda", "fr3"])
@pytest.mark.parametrize("damping", [0.7, 1.2])
def test_a_late_arm_stays_inside_and_what_is_sent_within_every_limit(
    name: str, damping: float
) -> None:
    settings = load_robot(name)
    worst = drive(settings, seed=7, ticks=500, damping=damping)
    assert worst.outside <= 2 * BREACH
    assert worst.velocity <= 1 + 1e-6 and worst.acceleration <= 1 + 1e-6
    assert worst.margin >= -1e-9
    assert worst.tool_step <= settings.place.max_ee_step + 1e-5
