"""The table's numbers, order, search and confirmation of wishes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PyQt5.QtCore import QPersistentModelIndex, Qt
from PyQt5.QtTest import QAbstractItemModelTester

from vla_sae_ros.core.steering import Unit
from vla_sae_ros.panel.state.feature_columns import FeatureColumns
from vla_sae_ros.panel.state.incoming import Incoming
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import CatalogueView
from vla_sae_ros.panel.table.table_columns import Column, has_any
from vla_sae_ros.panel.table.table_model import BarRole, FeatureTableModel, Filter

pytestmark = pytest.mark.usefixtures("qapp")


def show(model: FeatureTableModel, catalogue: CatalogueView) -> None:
    incoming = Incoming()
    incoming.catalogues.put("", catalogue)
    model._store.take(incoming)
    model.reset()


@pytest.fixture
def model(make_catalogue) -> FeatureTableModel:
    store = Store()
    made = FeatureTableModel(store)
    made.tester = QAbstractItemModelTester(
        made, QAbstractItemModelTester.FailureReportingMode.Fatal
    )
    show(made, make_catalogue())
    made.sort(Column.ACTIVATION, Qt.SortOrder.DescendingOrder)
    return made


def names(model: FeatureTableModel) -> list[tuple[str, int]]:
    return [model.columns.name_of(row) for row in model.order]


def test_activations_are_shown_in_multiples_of_the_observed_maximum(
    model, make_activations
) -> None:
    model.columns.set_activations(make_activations("expert.0", {1: (1.0, 3.0)}))
    row = model.columns.row_of(("expert.0", 1))
    bar = model.data(model.index(model.place_of(row), Column.ACTIVATION), BarRole)
    assert (bar.natural, bar.applied, bar.edited) == (0.5, 1.5, True)


def test_a_feature_that_is_not_listed_any_more_falls_to_zero(model, make_activations) -> None:
    model.columns.set_activations(make_activations("expert.0", {1: (1.0, 1.0)}))
    model.columns.set_activations(make_activations("backbone.1", {0: (1.0, 1.0)}))
    model.columns.set_activations(make_activations("expert.0", {2: (1.0, 1.0)}))
    columns = model.columns
    active = {name for name in names(model) if columns.slider(columns.row_of(name)).natural}
    assert active == {("expert.0", 2), ("backbone.1", 0)}


def test_features_beyond_the_dictionary_are_counted(model, make_activations) -> None:
    model.columns.set_activations(make_activations("backbone.1", {1: (1.0, 1.0), 77: (1.0, 1.0)}))
    assert model.columns.beyond == 1


def test_edited_features_stay_on_top_and_the_rest_sorts_by_activation(
    model, make_activations, make_steering
) -> None:
    model.columns.set_activations(make_activations("backbone.1", {0: (1, 1), 2: (4, 4)}))
    model.columns.set_steering(make_steering(("expert.0", 1, 1.0)))
    model.reorder()
    assert names(model)[:3] == [("expert.0", 1), ("backbone.1", 2), ("backbone.1", 0)]


def test_the_selection_follows_its_feature_when_rows_move(model, make_activations) -> None:
    selected = QPersistentModelIndex(model.index(5, 0))
    name = model.columns.name_of(model.data_row(model.index(5, 0)))
    model.columns.set_activations(make_activations(name[0], {name[1]: (9.0, 9.0)}))
    model.reorder()
    assert selected.row() == 0
    assert model.columns.name_of(int(model.order[selected.row()])) == name


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 8),
        ("gripper", 2),
        ("GRIPPER general", 2),
        ("expert.0 #2", 1),
        ("nothing like it", 0),
        ("memorized expert", 2),
    ],
)
def test_search_needs_every_word_somewhere(model, text: str, count: int) -> None:
    model.set_search(text)
    assert model.rowCount() == count


def test_a_wish_is_pending_until_the_policy_confirms_that_very_value(model, make_steering) -> None:
    columns = model.columns
    row = columns.row_of(("backbone.1", 1))
    columns.wish(row, replace(columns.edit_to_begin(row), value=1.5))
    assert columns.slider(row).pending and columns.slider(row).commanded == 1.5
    columns.set_steering(make_steering(("backbone.1", 1, 0.5)))  # an older one
    assert columns.slider(row).pending
    columns.set_steering(make_steering(("backbone.1", 1, 1.5)))
    assert not columns.slider(row).pending and columns.slider(row).commanded == 1.5


def test_a_dead_feature_or_a_site_that_takes_no_edits_cannot_be_steered(make_catalogue) -> None:
    model = FeatureTableModel(Store())
    show(model, make_catalogue(can_steer=False))
    columns = model.columns
    can = {columns.name_of(row): not columns.why_not(row) for row in range(columns.size)}
    assert can["backbone.1", 0] and not can["backbone.1", 3] and not can["expert.0", 0]


def test_a_dead_feature_can_be_edited_in_units_that_it_has(make_catalogue) -> None:
    columns = FeatureColumns(make_catalogue())
    columns.template = replace(columns.template, unit=Unit.NATURAL)
    assert not columns.why_not(columns.row_of(("backbone.1", 3)))


def test_another_catalogue_takes_old_values_away(model, make_catalogue, make_activations) -> None:
    model.columns.set_activations(make_activations("backbone.1", {0: (1.0, 1.0)}))
    model.columns.wish(0, model.columns.edit_to_begin(0))
    show(model, make_catalogue(size=6, policy="policy-b"))
    assert model.rowCount() == 12
    sliders = [model.columns.slider(row) for row in range(12)]
    assert not any(slider.natural or slider.pending for slider in sliders)


def test_sixty_five_thousand_features_sort_and_search(make_catalogue, make_activations) -> None:
    model = FeatureTableModel(Store())
    show(model, make_catalogue(size=32_768))
    model.columns.set_activations(make_activations("expert.0", {30_000: (5.0, 5.0)}))
    model.sort(Column.ACTIVATION, Qt.SortOrder.DescendingOrder)
    assert model.columns.name_of(int(model.order[0])) == ("expert.0", 30_000)
    model.set_search("#30000")
    assert model.rowCount() == 2


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({Filter.ALIVE}, 6),
        ({Filter.GENERAL}, 4),
        ({Filter.PINNED}, 1),
        ({Filter.EDITED}, 2),
        ({Filter.PINNED, Filter.EDITED}, 1),
        (set(), 8),
    ],
)
def test_filters_narrow_together(model, make_steering, filters, count) -> None:
    model._store.pinned = [("expert.0", 1), ("gone.9", 4)]
    model.columns.set_steering(make_steering(("expert.0", 1, 1.0), ("backbone.1", 2, 1.0)))
    for which in filters:
        model.set_filter(which, True)
    assert model.rowCount() == count


def test_a_tested_name_is_marked_and_can_be_chosen_apart_from_mere_correlations(
    model, make_catalogue
) -> None:
    found = ("as named", "opposite", "causal", "not shown", "", "", "", "")
    catalogue = replace(make_catalogue(), outcomes=found, tests=("n = 60",) * 4 + ("",) * 4)
    show(model, catalogue)
    labels = [model._text(row, Column.LABEL) for row in range(5)]
    plain = catalogue.labels
    marked = zip("✓✗●○", plain, found, strict=False)
    assert labels == [*(f"{mark} {name or said}" for mark, name, said in marked), plain[4]]
    assert "n = 60" in model._tooltip(0)
    model.set_filter(Filter.TESTED, True)
    assert model.rowCount() == 4


def test_a_confirmed_name_stands_where_no_person_gave_a_label(model, make_catalogue) -> None:
    plain = make_catalogue()
    catalogue = replace(
        plain,
        labels=("", *plain.labels[1:]),
        label_sources=("", "person", "evidence", *plain.label_sources[3:]),
        outcomes=("as named",) * 3 + ("causal", *plain.outcomes[4:]),
        tested_names=("hand goes up", "hand sinks", "hand goes left", *plain.tested_names[3:]),
    )
    show(model, catalogue)
    assert model._text(0, Column.LABEL) == "✓ hand goes up"
    assert model._text(1, Column.LABEL) == f"✓ {plain.labels[1]}", "a label is its own"
    assert model._text(2, Column.LABEL) == "✓ hand goes left", "evidence says only when it fires"
    assert model._text(3, Column.LABEL) == f"● {plain.labels[3] or 'causal'}"
    assert "hand goes up" in model._tooltip(0)
    model.set_search("goes up")
    assert model.rowCount() == 1


def test_pinned_features_come_after_edited_ones_and_before_the_rest(model, make_steering) -> None:
    model._store.pinned = [("expert.0", 3)]
    model.columns.set_steering(make_steering(("expert.0", 1, 1.0)))
    model.reorder()
    assert names(model)[:2] == [("expert.0", 1), ("expert.0", 3)]


def test_a_title_sorts_and_points_where_the_order_goes(model) -> None:
    model.sort_by_title(Column.FEATURE)
    features = [name[1] for name in names(model)]
    assert features == sorted(features)
    assert model.headerData(Column.FEATURE, Qt.Orientation.Horizontal).endswith("▲")
    model.sort_by_title(Column.FEATURE)
    assert [name[1] for name in names(model)] == sorted(features, reverse=True)
    assert model.headerData(Column.FEATURE, Qt.Orientation.Horizontal).endswith("▼")
    model.sort_by_title(Column.COVERAGE)
    assert names(model)[0] == ("expert.0", 3)  # most coverage first


def test_rows_sort_by_how_much_they_changed_lately(model, make_activations) -> None:
    incoming = Incoming()
    for inference, (steady, moving) in enumerate([(9.0, 1.0), (9.0, 4.0), (9.0, 2.0)], 1):
        incoming.activations.put(
            make_activations(
                "expert.0", {1: (steady, steady), 2: (moving, moving)}, inference, inference / 10
            )
        )
    model._store.take(incoming)
    model.sort_by_title(Column.SPARK)
    assert names(model)[0] == ("expert.0", 2)


def test_a_column_with_nothing_to_show_takes_no_room(make_catalogue) -> None:
    catalogue = make_catalogue()
    bare = replace(
        catalogue, labels=("",) * 8, classes=("",) * 8, coverage=np.full(8, np.nan, np.float32)
    )
    hidden = {column for column in Column if not has_any(bare, column)}
    assert hidden == {Column.LABEL, Column.CLASS, Column.COVERAGE}
    assert all(has_any(catalogue, column) for column in Column)
