"""The columns of the table: titles, what they sort by, when they have anything to show."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from vla_sae_ros.panel.state.feature_columns import SortKey
from vla_sae_ros.panel.state.values import CatalogueView

SPARK_SECONDS = 10.0
"""What a sparkline shows."""


class Column(IntEnum):
    """Columns of the table."""

    PIN = 0
    SITE = 1
    FEATURE = 2
    LABEL = 3
    CLASS = 4
    COVERAGE = 5
    ACTIVATION = 6
    SPARK = 7
    MODE = 8
    STEER = 9
    VALUE = 10


TITLES = {
    Column.PIN: ("", "Pinned features stay on top; P pins the selected one"),
    Column.SITE: ("Site", "Layer of the policy whose residual stream the SAE reads"),
    Column.FEATURE: ("Feature", "Number of the feature in its dictionary"),
    Column.LABEL: ("Label", "Name of the feature, where somebody gave one"),
    Column.CLASS: ("Class", "General or memorized, where it was classified"),
    Column.COVERAGE: ("Cov.", "Coverage: share of episodes in which the feature fires"),
    Column.ACTIVATION: ("Activation", "Value after the edits, in observed maxima"),
    Column.SPARK: (f"Last {SPARK_SECONDS:.0f} s", "Click to sort by how much it changed"),
    Column.MODE: ("Edit", "What the edit does and in which unit; double click to choose"),
    Column.STEER: ("Steer", "Drag to edit; Enter or double click types a number"),
    Column.VALUE: ("Asked → applied", "In the edit's unit; the policy may ramp, cap or refuse"),
}
"""Title and tooltip."""

SORT_KEYS = {
    Column.SITE: SortKey.SITE,
    Column.FEATURE: SortKey.FEATURE,
    Column.LABEL: SortKey.LABEL,
    Column.CLASS: SortKey.CLASS,
    Column.COVERAGE: SortKey.COVERAGE,
    Column.ACTIVATION: SortKey.ACTIVATION,
    Column.SPARK: SortKey.CHANGE,
}
"""Columns whose title sorts."""


def has_any(catalogue: CatalogueView, column: Column) -> bool:
    """Say whether a column has anything to show: an empty one takes no room."""
    if column is Column.LABEL:
        return any(catalogue.names)
    if column is Column.CLASS:
        return any(catalogue.classes)
    if column is Column.COVERAGE:
        return bool(np.isfinite(catalogue.coverage).any())
    if column is Column.SITE:
        return len(catalogue.sites) != 1
    return True
