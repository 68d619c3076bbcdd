"""Undo, modes, presets and release, with a fake client that confirms nothing by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from PyQt5.QtWidgets import QWidget
from rclpy.serialization import deserialize_message, serialize_message

from vla_sae_ros.core.steering import (
    Condition,
    Control,
    Edit,
    Mode,
    Preset,
    Unit,
    format_preset,
    parse_preset,
    to_edit,
)
from vla_sae_ros.core.steering.preset import parse_condition, parse_control
from vla_sae_ros.msg import SteeringEdit
from vla_sae_ros.panel.editing.bypass_key import TAP_SECONDS, BypassKey
from vla_sae_ros.panel.editing.editing import Editing
from vla_sae_ros.panel.editing.preset_diff import differences
from vla_sae_ros.panel.editing.typed_line import condition_line, control_line
from vla_sae_ros.panel.state.incoming import Incoming
from vla_sae_ros.panel.state.slider import Activation, axis_limit, make_slider
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import RequestResult
from vla_sae_ros.wire.steering_messages import from_edit

pytestmark = pytest.mark.usefixtures("qapp")

NAME = ("backbone.1", 1)
ROW = 1


class Desk:
    """The editing of a store, and the policy's side of it."""

    def __init__(self, client, catalogue, make_steering) -> None:
        self.client, self.store, self.make_steering = client, Store(), make_steering
        incoming = Incoming()
        incoming.catalogues.put("", catalogue)
        self.store.take(incoming)
        self.editing = Editing(self.store, client.commands)

    def confirm(self, *edits: tuple[str, int, float]) -> None:
        incoming = Incoming()
        incoming.steering.put(self.make_steering(*edits))
        self.store.take(incoming)

    @property
    def last(self) -> tuple[list[tuple[tuple[str, int], float]], list[tuple[str, int]]]:
        """What was sent last: ((name, value) of edits, releases)."""
        kind, what = self.client.requests[-1]
        assert kind == "steer"
        return [(edit.key, edit.value) for edit in what[0]], what[1]


@pytest.fixture
def desk(client, make_catalogue, make_steering) -> Iterator[Desk]:
    yield Desk(client, make_catalogue(), make_steering)


def test_one_drag_is_one_step_back_to_what_was_before_it(desk) -> None:
    desk.confirm((*NAME, 1.0))
    for moment, value in enumerate((1.5, 2.0, 2.5)):
        desk.editing.drag(ROW, value, float(moment))
    desk.editing.commit(ROW, 3.0)
    assert desk.last == ([(NAME, 3.0)], [])
    assert desk.editing.stack.count() == 1
    desk.editing.stack.undo()
    assert desk.last == ([(NAME, 1.0)], [])
    desk.editing.stack.redo()
    assert desk.last == ([(NAME, 3.0)], [])


def test_undoing_the_first_edit_of_a_feature_releases_it(desk) -> None:
    desk.editing.commit(ROW, 3.0)
    desk.confirm((*NAME, 3.0))
    desk.editing.stack.undo()
    assert desk.last == ([], [NAME])


def test_a_refused_edit_leaves_no_step_and_no_wish(desk) -> None:
    desk.editing.commit(ROW, 2.0)
    desk.confirm((*NAME, 2.0))
    desk.editing.commit(ROW, 50.0)
    sent = len(desk.client.requests)
    desk.editing.take_outcome(RequestResult(False, "over the limit", ticket=sent))
    assert desk.editing.stack.count() == 1
    assert desk.store.columns.slider(ROW).commanded == 2.0
    assert len(desk.client.requests) == sent  # nothing has to be taken back from the policy


def test_an_edit_that_nobody_hears_leaves_no_step(desk) -> None:
    desk.client.commands.listening = False
    desk.editing.commit(ROW, 2.0)
    assert desk.editing.stack.count() == 0


def test_release_all_asks_for_a_reset_and_can_be_undone(desk) -> None:
    desk.confirm((*NAME, 1.0), ("expert.0", 2, 4.0))
    desk.editing.release_all()
    assert desk.client.requests[-1] == ("reset", None)
    assert not desk.editing.standing()
    desk.confirm()
    desk.editing.stack.undo()
    assert desk.last == ([(NAME, 1.0), (("expert.0", 2), 4.0)], [])


def test_releasing_a_feature_without_an_edit_asks_for_nothing(desk) -> None:
    desk.editing.release([NAME])
    assert desk.client.requests == []


def test_another_mode_begins_where_it_changes_nothing(desk) -> None:
    desk.confirm((*NAME, 3.0))
    desk.editing.set_mode(ROW, Mode.SCALE, Unit.NATURAL)
    edit = desk.store.columns.edit_of(ROW)
    assert (edit.mode, edit.value) == (Mode.SCALE, 1.0)
    desk.editing.stack.undo()
    ((name, value),), _ = desk.last
    assert (name, value) == (NAME, 3.0)


def test_a_clamp_begins_at_the_present_activation(desk, make_activations) -> None:
    desk.store.columns.set_activations(make_activations("backbone.1", {1: (3.0, 3.0)}))
    desk.editing.set_mode(ROW, Mode.CLAMP, Unit.OBSERVED_MAX)
    assert desk.last == ([(NAME, 1.5)], [])  # in observed maxima of 2


def test_another_unit_keeps_the_value(desk) -> None:
    desk.confirm((*NAME, 3.0))
    desk.editing.set_mode(ROW, Mode.CLAMP, Unit.NATURAL)
    assert desk.last == ([(NAME, 6.0)], [])


def test_every_request_carries_the_operators_ramp(desk) -> None:
    desk.store.columns.template = replace(desk.store.columns.template, ramp=1.5)
    desk.editing.commit(ROW, 2.0)
    assert desk.client.requests[-1][1][0][0].ramp == 1.5


def test_a_preset_is_applied_whole_and_undone_whole(desk) -> None:
    desk.confirm((*NAME, 1.0))
    wanted = Edit(2, Mode.ADD, 0.5, "expert.0", Unit.RESIDUAL_NORM)
    desk.editing.apply_preset(Preset("lift", (wanted,), {"expert.0": "e"}))
    kind, text = desk.client.requests[-1]
    assert kind == "preset"
    assert parse_preset(text) == Preset("lift", (wanted,), {"expert.0": "e"})
    assert desk.store.columns.edit_of(ROW) is None  # this panel's other edit goes
    desk.editing.stack.undo()
    assert desk.last == ([(NAME, 1.0)], [("expert.0", 2)])


def test_after_the_features_changed_nothing_can_be_undone(desk) -> None:
    desk.editing.commit(ROW, 2.0)
    desk.editing.forget()
    assert not desk.editing.stack.canUndo()


def test_a_preset_written_and_read_again_does_not_differ(desk) -> None:
    edits = [
        Edit(1, Mode.CLAMP, 4.0, "a", Unit.OBSERVED_MAX, ramp=0.5),
        Edit(2, Mode.PROJECT_OUT, site="b"),
    ]
    assert differences(edits, parse_preset(format_preset("p", edits)).edits) == []


def test_a_comparison_names_what_is_only_here_only_there_and_different() -> None:
    now = [Edit(1, Mode.CLAMP, 4.0, "a"), Edit(2, Mode.SCALE, 0.5, "a")]
    preset = [Edit(1, Mode.CLAMP, 3.0, "a"), Edit(3, Mode.PROJECT_OUT, site="b")]
    lines = differences(now, preset)
    assert len(lines) == 3
    assert "now clamp 4" in lines[0] and "differs in value" in lines[0]
    assert lines[1] == "a #2: only now, scale 0.5"
    assert lines[2] == "b #3: only in the preset, project out"


@pytest.mark.parametrize(
    ("mode", "unit", "per_unit", "applied", "natural"),
    [
        (Mode.CLAMP, Unit.OBSERVED_MAX, 2.0, 3.0, 0.5),  # z' = 6, z = 1, observed maximum 2
        (Mode.CLAMP, Unit.NATURAL, 1.0, 6.0, 1.0),
        (Mode.ADD, Unit.OBSERVED_MAX, 2.0, 2.5, 0.0),
        (Mode.SCALE, Unit.NATURAL, 1.0, 6.0, 1.0),
    ],
)
def test_marks_lie_on_the_axis_of_their_edit(mode, unit, per_unit, applied, natural) -> None:
    slider = make_slider(
        Edit(0, mode, 1.0, "s", unit), Activation(1.0, 6.0, 2.0), True, per_unit, True
    )
    assert (slider.applied, slider.natural) == (applied, natural)


def test_a_removed_direction_has_no_axis_and_every_other_edit_has_one() -> None:
    assert axis_limit(Edit(0, Mode.PROJECT_OUT), 2.0) == 0.0
    assert axis_limit(Edit(0, Mode.CLAMP, unit=Unit.NATURAL), 0.0) > 0.0
    assert axis_limit(Edit(0, Mode.CLAMP, unit=Unit.NATURAL), 2.0) == 10.0


@pytest.mark.parametrize(
    ("held", "asked"), [(TAP_SECONDS / 2, [True]), (TAP_SECONDS * 2, [True, False])]
)
def test_space_latches_when_tapped_and_compares_while_held(held: float, asked: list) -> None:
    got: list[bool] = []
    key = BypassKey(got.append)
    key.press(False, 10.0)
    key.press(False, 10.1)  # a repeat
    key.release(10.0 + held)
    assert got == asked


def test_a_comparison_ends_when_the_window_loses_the_keyboard() -> None:
    got: list[bool] = []
    key = BypassKey(got.append)
    key.press(True, 10.0)
    key.interrupt()
    key.release(11.0)
    assert got == [False, True]


def test_a_condition_is_one_step_and_the_value_stays(desk) -> None:
    desk.confirm((*NAME, 1.5))
    when = Condition("step", above=40.0)
    desk.editing.set_condition(ROW, when)
    (edit,), _ = desk.client.requests[-1][1]
    assert (edit.when, edit.value) == (when, 1.5)
    desk.editing.stack.undo()
    (edit,), _ = desk.client.requests[-1][1]
    assert edit.when is None


def test_a_condition_of_a_feature_without_an_edit_begins_one_that_changes_nothing(desk) -> None:
    desk.editing.set_condition(ROW, Condition("step", above=40.0))
    (edit,), _ = desk.client.requests[-1][1]
    assert edit.key == NAME and edit.value == desk.store.columns.natural_value(ROW, edit)


def test_a_condition_is_typed_as_presets_say_it_and_nonsense_is_refused(qtbot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    chosen: list[Condition | None] = []
    refused: list[str] = []
    when = Condition(site="backbone.1", feature=93, above=0.5, hold=0.25)
    line = condition_line(parent, "backbone.1 #1", when, chosen.append, refused.append)
    assert parse_condition(line.textValue()) == when
    for text in (line.textValue(), "", "{above: 1, below: 2}", "nonsense"):
        line.textValueSelected.emit(text)
    assert chosen == [when, None]
    assert len(refused) == 2 and "above" in refused[0]


CONTROL = Control(reading="height", at=0.25, kp=4.0, ki=8.0, bounds=(-1.0, 2.0))


def test_a_controller_is_one_step_and_goes_with_the_condition(desk) -> None:
    desk.confirm((*NAME, 1.5))
    desk.editing.set_condition(ROW, Condition("step", above=40.0))
    desk.editing.set_control(ROW, CONTROL)
    (edit,), _ = desk.client.requests[-1][1]
    assert (edit.control, edit.value) == (CONTROL, 1.5)
    desk.editing.stack.undo()
    (edit,), _ = desk.client.requests[-1][1]
    assert edit.control is None


def test_a_controller_is_typed_as_presets_say_it_and_nonsense_is_refused(qtbot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    chosen: list[Control | None] = []
    refused: list[str] = []
    line = control_line(parent, "backbone.1 #1", CONTROL, chosen.append, refused.append)
    assert parse_control(line.textValue()) == CONTROL
    for text in (line.textValue(), " ", "{at: 1, kp: 1}", "{at: 1, kp: 1, bounds: [2, 1]}"):
        line.textValueSelected.emit(text)
    assert chosen == [CONTROL, None]
    assert len(refused) == 2 and "bounds" in refused[0] and "low below high" in refused[1]


def test_a_preset_differs_from_what_it_set_by_no_rounding_of_the_wire() -> None:
    control = Control(reading="height", at=0.1, ki=0.3, bounds=(-0.7, 0.9))
    edit = Edit(1, Mode.ADD, 0.1, "a", when=Condition("height", above=0.1), control=control)
    arrived = to_edit(deserialize_message(serialize_message(from_edit(edit)), SteeringEdit))
    assert arrived != edit and differences([arrived], [edit]) == []
    other = replace(edit, control=replace(control, at=0.2))
    (line,) = differences([edit], [other])
    assert line.endswith("(differs in control)")
