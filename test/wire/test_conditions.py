"""Conditions and controllers go over the wire and come back; older messages have none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from vla_sae_ros.core.errors import SteeringRefused
from vla_sae_ros.core.steering import Condition, Control, Edit, Mode, to_edit, to_view
from vla_sae_ros.core.steering.slot import Phase
from vla_sae_ros.core.steering.snapshot import StandingEdit, StateView
from vla_sae_ros.msg import SteeringCondition, SteeringControl, SteeringEdit
from vla_sae_ros.wire.steering_messages import from_edit, from_state

CONDITIONS = [
    None,
    Condition(site="backbone.1.directions", feature=7, above=0.5, hysteresis=0.25, hold=0.5),
    Condition("state", number=6, below=-0.125),
    Condition("step", above=40.0),
]


CONTROLS = [
    None,
    Control(site="backbone.1.directions", feature=7, at=0.5, ki=0.25, bounds=(-2.0, 4.0), slew=1.5),
    Control(reading="state", number=6, at=-0.125, kp=-3.0, ki=-1.0, bounds=(0.0, 4.0)),
]


@pytest.mark.parametrize("control", CONTROLS)
def test_an_edit_comes_back_with_its_controller(control: Control | None) -> None:
    edit = Edit(3, Mode.CLAMP, 2.0, "backbone.1", control=control)
    assert to_edit(from_edit(edit)) == edit


@pytest.mark.parametrize("when", CONDITIONS)
def test_an_edit_comes_back_with_its_condition(when: Condition | None) -> None:
    edit = Edit(3, Mode.CLAMP, 2.0, "backbone.1", when=when)
    assert to_edit(from_edit(edit)) == edit


def test_what_was_read_is_in_the_state() -> None:
    edit = Edit(3, Mode.CLAMP, 2.0, "backbone.1", when=CONDITIONS[1], control=CONTROLS[1])
    standing = [
        StandingEdit(edit, "me", Phase.WAITING, 2.0, 2.0, 0.0, 5.0, *readings)
        for readings in ((0.25, None), (None, 0.5))
    ]
    view = StateView(1, False, 1.5, 10.0, 2.0, tuple(standing))
    assert to_view(from_state(view)) == view


def test_an_edit_of_an_older_bag_has_no_condition_and_no_controller() -> None:
    message = from_edit(Edit(3, Mode.ADD, 1.0, "backbone.1"))
    fields = {name: getattr(message, name) for name in SteeringEdit.get_fields_and_field_types()}
    del fields["when"], fields["control"]
    old = to_edit(SimpleNamespace(**fields))
    assert old.when is None and old.control is None


def test_a_condition_that_cannot_be_is_refused() -> None:
    message = from_edit(Edit(3, Mode.ADD, 1.0, "backbone.1"))
    message.when = SteeringCondition(reading="mood")
    with pytest.raises(SteeringRefused, match="reading of `when`"):
        to_edit(message)


def test_a_controller_that_cannot_be_is_refused() -> None:
    message = from_edit(Edit(3, Mode.ADD, 1.0, "backbone.1"))
    message.control = SteeringControl(reading="height", kp=1.0)
    with pytest.raises(SteeringRefused, match="bounds of `control`"):
        to_edit(message)
