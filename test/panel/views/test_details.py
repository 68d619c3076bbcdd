"""What is known about a feature, and what people write about it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PyQt5.QtCore import QBuffer, QByteArray, QIODevice, Qt
from PyQt5.QtGui import QColor, QImage
from PyQt5.QtTest import QTest

from vla_sae_ros.panel.state.values import Example
from vla_sae_ros.panel.views.details import DetailsView
from vla_sae_ros.panel.views.details_words import metrics
from vla_sae_ros.panel.views.examples import Examples

FIRST, SECOND = ("expert.0", 1), ("expert.0", 2)


@pytest.fixture
def view(qtbot, context) -> DetailsView:
    result = DetailsView(context)
    qtbot.addWidget(result)
    result.resize(340, 600)
    with qtbot.waitExposed(result):
        result.show()
    result.activateWindow()
    return result


def select(view, store, name) -> None:
    store.selected = name
    view.refresh(store, 0.0)


def write(view, label: str) -> None:
    view.label.setFocus()
    view.label.selectAll()
    QTest.keyClicks(view.label, label)


def publish(store, client, **changes) -> None:
    """Let the policy say something else about the same features."""
    client.incoming.catalogues.put("", replace(store.catalogue, **changes))
    store.take(client.incoming)


def labels_with(store, name, label: str) -> tuple[str, ...]:
    row = store.columns.row_of(name)
    return (*store.catalogue.labels[:row], label, *store.catalogue.labels[row + 1 :])


def test_what_a_study_found_is_told_apart_from_what_only_correlates(view, store, client) -> None:
    row = store.columns.row_of(FIRST)
    tests = [""] * store.catalogue.size
    tests[row] = "as named “hand up”: add +0.25 ‖x‖: height +31 mm"
    publish(store, client, tests=tuple(tests))
    select(view, store, FIRST)
    assert "Tested by steering" in view.tests.text() and "+31 mm" in view.tests.text()
    select(view, store, SECOND)
    assert view.tests.text() == "Not tested by steering yet."


def test_the_selected_feature_is_described(view, store, client) -> None:
    publish(
        store,
        client,
        general_probability=np.full(8, 0.913, np.float32),
        label_sources=("person",) * 8,
        descriptions=("fires before a grasp",) * 8,
    )
    select(view, store, FIRST)
    assert view.title.text() == "expert.0 #1"
    assert view.label.text() == "hand above basket"
    assert view.metrics["General with probability"].text() == "91.3 %"
    assert view.metrics["Density"].text() == "unknown"
    assert view.metrics["Class"].text() == "memorized"
    assert view.source.text() == "named by a person"
    assert view.description.text() == "fires before a grasp"


def test_every_metric_has_a_row(view, store) -> None:
    assert set(view.metrics) == set(metrics(store.catalogue, 0))


def test_without_a_selection_the_view_says_what_to_do(view, store) -> None:
    view.refresh(store, 0.0)
    assert "Select a feature" in view.title.text() and not view.label.isVisible()


def test_a_label_is_sent_once_when_its_editing_ends(view, store, client) -> None:
    select(view, store, FIRST)
    write(view, "opens")
    assert client.requests == []
    QTest.keyClick(view.label, Qt.Key.Key_Return)
    view.notes.setFocus()
    assert client.requests == [("notes", (FIRST, "opens", ""))]


def test_notes_are_sent_with_ctrl_return_and_when_the_focus_leaves(view, store, client) -> None:
    select(view, store, FIRST)
    view.notes.setFocus()
    QTest.keyClicks(view.notes, "seen twice")
    QTest.keyClick(view.notes, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert client.requests == [("notes", (FIRST, "hand above basket", "seen twice"))]
    QTest.keyClicks(view.notes, "!")
    view.label.setFocus()
    assert client.requests[-1] == ("notes", (FIRST, "hand above basket", "seen twice!"))


def test_text_goes_to_the_feature_it_was_written_about_though_another_is_selected(
    view, store, client
) -> None:
    select(view, store, FIRST)
    write(view, "opens")
    select(view, store, SECOND)
    assert client.requests == [("notes", (FIRST, "opens", ""))]
    assert view.label.text() == "soup in view"


def test_a_refused_text_is_still_there_after_looking_at_another_feature(
    view, store, client
) -> None:
    select(view, store, FIRST)
    write(view, "opens")
    select(view, store, SECOND)
    select(view, store, FIRST)
    assert view.label.text() == "opens"
    assert "not confirmed" in view.state.text()
    assert len(client.requests) == 1


def test_a_text_that_nobody_hears_is_kept_and_sent_later(view, store, client) -> None:
    client.commands.listening = False
    select(view, store, FIRST)
    write(view, "opens")
    view.save()
    view.refresh(store, 0.0)
    assert "Not saved yet" in view.state.text()
    client.commands.listening = True
    view.save()
    view.refresh(store, 0.0)
    assert client.requests[-1] == ("notes", (FIRST, "opens", ""))
    assert "not confirmed" in view.state.text()


def test_the_policys_confirmation_ends_the_draft(view, store, client) -> None:
    select(view, store, FIRST)
    write(view, "opens")
    view.save()
    publish(store, client, labels=labels_with(store, FIRST, "opens"))
    view.refresh(store, 0.0)
    assert view.state.text() == "" and view.label.text() == "opens"


def test_a_new_catalogue_does_not_disturb_what_is_being_typed(view, store, client) -> None:
    select(view, store, FIRST)
    write(view, "ope")
    view.label.setCursorPosition(1)
    publish(store, client, classes=("dead",) * 8)
    view.refresh(store, 0.0)
    assert view.label.text() == "ope" and view.label.cursorPosition() == 1
    assert view.metrics["Class"].text() == "dead"


def test_another_persons_label_appears(view, store, client) -> None:
    select(view, store, FIRST)
    publish(store, client, labels=labels_with(store, FIRST, "named elsewhere"))
    view.refresh(store, 0.0)
    assert view.label.text() == "named elsewhere" and view.state.text() == ""


def test_example_frames_are_decoded_and_a_broken_one_says_so(qtbot) -> None:
    image, data = QImage(33, 20, QImage.Format.Format_RGB888), QByteArray()
    image.fill(QColor(10, 200, 30))
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")
    examples = Examples()
    qtbot.addWidget(examples)
    examples.show_examples((Example(bytes(data), "episode 3, step 55"), Example(b"?", "broken")))
    good, broken = examples.boxes
    assert good._pixels is not None and good._pixels.shape == (20, 33, 3)
    assert good._pixels[19, 32].tolist() == [10, 200, 30]
    assert "not a picture" in broken.reason
    assert not examples.grab().isNull()
