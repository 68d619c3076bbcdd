"""The table's numbers, order, search and confirmation of wishes."""

from __future__ import annotations

import numpy as np
import pytest
from PyQt5.QtCore import QPersistentModelIndex, Qt
from PyQt5.QtTest import QAbstractItemModelTester

from vla_sae_ros.panel.table_model import BarRole, Column, FeatureTableModel
from vla_sae_ros.panel.values import EditView, SteeringView

pytestmark = pytest.mark.usefixtures("qapp")


@pytest.fixture
def model(make_catalogue) -> FeatureTableModel:
    made = FeatureTableModel()
    made.tester = QAbstractItemModelTester(
        made, QAbstractItemModelTester.FailureReportingMode.Fatal)
    made.set_catalogue(make_catalogue())
    made.sort(Column.ACTIVATION, Qt.SortOrder.DescendingOrder)
    return made


def names(model: FeatureTableModel) -> list[tuple[str, int]]:
    return [model.columns.name_of(row) for row in model.order]


def steering(*edits: tuple[str, int, float]) -> SteeringView:
    return SteeringView(1, False, 0.5, tuple(
        EditView(site, feature, "me", "holding", commanded, commanded, 2.0)
        for site, feature, commanded in edits))


def test_activations_are_shown_in_multiples_of_the_observed_maximum(
    model, make_activations
) -> None:
    model.columns.set_activations(make_activations("expert.0", {1: (1.0, 3.0)}))
    row = model.columns.row_of(("expert.0", 1))
    bar = model.data(model.index(int(np.flatnonzero(model.order == row)[0]), 3), BarRole)
    assert (bar.natural, bar.applied, bar.edited) == (0.5, 1.5, True)


def test_a_feature_that_is_not_listed_any_more_falls_to_zero(model, make_activations) -> None:
    model.columns.set_activations(make_activations("expert.0", {1: (1.0, 1.0)}))
    model.columns.set_activations(make_activations("backbone.1", {0: (1.0, 1.0)}))
    model.columns.set_activations(make_activations("expert.0", {2: (1.0, 1.0)}))
    columns = model.columns
    active = {name for name in names(model) if columns.slider(columns.row_of(name)).natural}
    assert active == {
        ("expert.0", 2), ("backbone.1", 0)}


def test_features_outside_the_catalogue_are_counted(model, make_activations) -> None:
    model.columns.set_activations(make_activations("backbone.1", {1: (1.0, 1.0), 77: (1.0, 1.0)}))
    assert model.columns.unlisted == 1


def test_edited_features_stay_on_top_and_the_rest_sorts_by_activation(
    model, make_activations
) -> None:
    model.columns.set_activations(make_activations("backbone.1", {0: (1, 1), 2: (4, 4)}))
    model.columns.set_steering(steering(("expert.0", 1, 2.0)))
    model.reorder()
    assert names(model)[:3] == [("expert.0", 1), ("backbone.1", 2), ("backbone.1", 0)]


def test_the_selection_follows_its_feature_when_rows_move(model, make_activations) -> None:
    selected = QPersistentModelIndex(model.index(5, 0))
    name = model.columns.name_of(model.data_row(model.index(5, 0)))
    model.columns.set_activations(make_activations(name[0], {name[1]: (9.0, 9.0)}))
    model.reorder()
    assert selected.row() == 0
    assert model.columns.name_of(int(model.order[selected.row()])) == name


@pytest.mark.parametrize(("text", "count"), [
    ("", 8), ("gripper", 2), ("GRIPPER general", 2), ("expert.0 #2", 1), ("nothing like it", 0),
    ("memorized expert", 2)])
def test_search_needs_every_word_somewhere(model, text: str, count: int) -> None:
    model.set_search(text)
    assert model.rowCount() == count


def test_a_wish_is_pending_until_the_policy_confirms_that_very_value(model) -> None:
    row = model.columns.row_of(("backbone.1", 1))
    model.columns.wish(row, 1.5)
    assert model.columns.slider(row).pending and model.columns.slider(row).commanded == 1.5
    model.columns.set_steering(steering(("backbone.1", 1, 1.0)))  # an older one: 0.5 maxima
    assert model.columns.slider(row).pending
    model.columns.set_steering(steering(("backbone.1", 1, 3.0)))
    assert not model.columns.slider(row).pending and model.columns.slider(row).commanded == 1.5


def test_a_dead_feature_or_a_site_that_takes_no_edits_cannot_be_steered(make_catalogue) -> None:
    model = FeatureTableModel()
    model.set_catalogue(make_catalogue(can_steer=False))
    columns = model.columns
    can = {columns.name_of(row): columns.can_steer(row) for row in range(columns.size)}
    assert can["backbone.1", 0] and not can["backbone.1", 3] and not can["expert.0", 0]


def test_another_catalogue_takes_old_values_away(model, make_catalogue, make_activations) -> None:
    model.columns.set_activations(make_activations("backbone.1", {0: (1.0, 1.0)}))
    model.columns.wish(0, 2.0)
    model.set_catalogue(make_catalogue(size=6, policy="policy-b"))
    assert model.rowCount() == 12
    sliders = [model.columns.slider(row) for row in range(12)]
    assert not any(slider.natural or slider.pending for slider in sliders)


def test_sixty_five_thousand_features_sort_and_search(make_catalogue, make_activations) -> None:
    model = FeatureTableModel()
    model.set_catalogue(make_catalogue(size=32_768))
    model.columns.set_activations(make_activations("expert.0", {30_000: (5.0, 5.0)}))
    model.sort(Column.ACTIVATION, Qt.SortOrder.DescendingOrder)
    assert model.columns.name_of(int(model.order[0])) == ("expert.0", 30_000)
    model.set_search("#30000")
    assert model.rowCount() == 2
