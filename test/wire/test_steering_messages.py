"""What goes out as a steering state comes back as the very edits that were applied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message

from vla_sae_ros.core.errors import SteeringRefused
from vla_sae_ros.core.steering import (
    TOKEN_GROUPS,
    Edit,
    Mode,
    Steering,
    SteeringSite,
    Unit,
    snapshot_of,
    to_edit,
    to_view,
)
from vla_sae_ros.msg import SteeringState
from vla_sae_ros.wire.steering_messages import from_edit, from_state

SITE = SteeringSite("expert.1", np.array([1.3, 0.7, 2.1], np.float32), 5.0, ("action",), 5)
EDITS = (
    Edit(0, Mode.CLAMP, 3.7, "expert.1", Unit.OBSERVED_MAX, ramp=0.7),
    Edit(1, Mode.ADD, 0.3, "expert.1", Unit.RESIDUAL_NORM, ("action",), (0, 3), ramp=0.3),
    Edit(2, Mode.SCALE, 0.1, "expert.1", window=(0.2, 0.6), ramp=0.9, hold=True),
)


def test_a_recorded_state_gives_what_the_inference_applied_to_the_bit() -> None:
    steering = Steering([SITE])
    steering.begin_inference(100.0, 100.0)
    steering.set([to_edit(from_edit(edit)) for edit in EDITS], "me")
    weights = set()
    for step in range(20):
        if step == 12:
            steering.reset("me")
        applied = steering.begin_inference(100.0 + step / 20, 100.0)
        assert applied.view is not None
        wire = deserialize_message(serialize_message(from_state(applied.view)), SteeringState)
        recorded = snapshot_of(to_view(wire))
        assert recorded.edits == applied.edits
        assert (recorded.revision, recorded.bypass) == (applied.revision, applied.bypass)
        weights |= {edit.weight for edits in applied.edits.values() for edit in edits}
    assert len(weights) > 15  # it was ramping most of the time


def test_under_bypass_the_edits_are_kept_and_none_acts() -> None:
    steering = Steering([SITE])
    steering.set(EDITS[:1], "me")
    steering.set_bypass(True, "me")
    view = to_view(from_state(steering.view()))
    assert len(view.edits) == 1
    assert snapshot_of(view).edits == {}
    assert snapshot_of(view).bypass


def test_states_that_differ_in_clock_and_leases_only_say_the_same() -> None:
    wall = 0.0
    steering = Steering([SITE], clock=lambda: wall)
    steering.set([Edit(0, Mode.CLAMP, 1.0, "expert.1")], "me")
    steering.begin_inference(1.0)
    before = steering.begin_inference(2.0).view
    wall = 3.0
    after = steering.begin_inference(2.5).view
    assert before is not None and after is not None
    assert before != after and before.says_the_same(after)
    steering.reset("me")
    assert not before.says_the_same(steering.view())


def test_a_mode_that_does_not_exist_is_refused() -> None:
    message = from_edit(EDITS[0])
    message.mode = 9
    with pytest.raises(SteeringRefused, match="unknown mode"):
        to_edit(message)


def test_the_message_names_every_group_of_tokens_that_is_accepted() -> None:
    text = (Path(__file__).parents[2] / "msg" / "SteeringEdit.msg").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("string[] token_groups")]
    assert all(f'"{group}"' in line for group in TOKEN_GROUPS)
