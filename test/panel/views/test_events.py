"""The audit trail."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PyQt5.QtCore import Qt

from vla_sae_ros.panel.views.event_model import EventColumn, EventModel
from vla_sae_ros.panel.views.events import EventsView
from vla_sae_ros.panel.views.traces import marks


@pytest.fixture
def view(qtbot, context) -> EventsView:
    result = EventsView(context)
    qtbot.addWidget(result)
    result.resize(900, 200)
    return result


def hear(store, client, *events) -> None:
    for event in events:
        client.incoming.events.put(event)
    store.take(client.incoming)


def column(view: EventsView, which: EventColumn) -> list[str]:
    return [view.model.data(view.model.index(row, which)) for row in range(view.model.rowCount())]


def test_events_are_listed_once_newest_first_with_their_reason(
    view, store, client, make_event
) -> None:
    hear(store, client, make_event("set", 1.0), make_event("refused", 2.0, reason="over the limit"))
    view.refresh(store, 0.0)
    view.refresh(store, 0.1)
    hear(store, client, make_event("released", 3.0))
    view.refresh(store, 0.2)
    assert [words.split()[-1] for words in column(view, EventColumn.KIND)] == [
        "released",
        "REFUSED",
        "set",
    ]
    assert column(view, EventColumn.REASON) == ["", "over the limit", ""]
    assert column(view, EventColumn.CHANGE)[0] == "natural → 4.00"
    assert view.count.text() == "3 events, 1 refused"
    assert not view.grab().isNull()


def test_values_are_in_the_unit_of_the_edit_and_times_are_of_the_wall_and_of_the_observation(
    view, store, client, make_event, make_catalogue, make_steering
) -> None:
    client.incoming.catalogues.put("", make_catalogue())
    client.incoming.steering.put(make_steering(("backbone.1", 1, 2.0)))
    event = replace(make_event("set", 100.5, site="backbone.1"), received=1_700_000_000.0)
    hear(store, client, event, make_event("set"))
    view.refresh(store, 0.0)
    # 4.0 in SAE units; the largest activation seen of this feature is 2.0.
    assert column(view, EventColumn.CHANGE) == ["natural → 4.00", "natural → 2.00 x max"]
    assert column(view, EventColumn.TIME)[1] != column(view, EventColumn.OBSERVED)[1]
    assert column(view, EventColumn.TIME)[0] == "", "not known"


def test_only_what_is_alarming_can_be_shown(view, store, client, make_event) -> None:
    hear(
        store,
        client,
        *(
            make_event(kind, 1.0)
            for kind in ("set", "refused", "removed", "lease expired", "capped")
        ),
    )
    view.refresh(store, 0.0)
    view.only.setChecked(True)
    assert len(column(view, EventColumn.KIND)) == 3
    hear(store, client, make_event("set", 2.0), make_event("refused", 3.0))
    view.refresh(store, 0.1)
    assert len(column(view, EventColumn.KIND)) == 4
    view.only.setChecked(False)
    assert len(column(view, EventColumn.KIND)) == 7


def test_a_cap_is_of_a_site_and_names_no_feature(view, store, client, make_event) -> None:
    capped = make_event("capped", feature=0)
    hear(store, client, capped)
    view.refresh(store, 0.0)
    assert column(view, EventColumn.FEATURE) == ["expert.0"]
    assert [mark.text for mark in marks([capped])] == ["CAPPED expert.0"]
    view.table.activated.emit(view.model.index(0, 0))
    assert store.selected is None


def test_the_log_is_bounded_and_a_correct_model(qtmodeltester, make_event) -> None:
    model = EventModel(limit=10)
    qtmodeltester.check(model)
    for number in range(25):
        model.extend([make_event(time=float(number), feature=number)] * (1 + number % 3))
        assert model.rowCount() <= 10
    qtmodeltester.check(model)
    model.extend([make_event(time=99.0)] * 40)
    assert model.rowCount() == 10 and model.shown[0].time == 99.0


def test_a_double_click_selects_the_events_feature(view, store, client, make_event) -> None:
    hear(store, client, make_event(feature=2), make_event("bypass", site=""))
    view.refresh(store, 0.0)
    view.table.activated.emit(view.model.index(0, 0))
    assert store.selected is None
    view.table.activated.emit(view.model.index(1, 0))
    assert store.selected == ("expert.0", 2)


def test_refusals_are_marked_by_a_sign_and_bold_and_colour(view, store, client, make_event) -> None:
    hear(store, client, make_event("refused"))
    view.refresh(store, 0.0)
    index = view.model.index(0, EventColumn.KIND)
    assert view.model.data(index).startswith("⚠")
    assert view.model.data(index, Qt.ItemDataRole.FontRole).bold()
    assert view.model.data(index, Qt.ItemDataRole.ForegroundRole) is not None
