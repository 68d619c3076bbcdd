"""The raster's pixels: nothing vanishes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_sae_ros.panel.views.raster_columns import WEAKEST, ShadeRing, row_starts, shades


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70_000), st.integers(1, 1200), st.data())
def test_one_active_feature_among_any_number_is_seen_in_its_row_and_in_no_other(
    features: int, most: int, data: st.DataObject
) -> None:
    active = data.draw(st.integers(0, features - 1))
    values = np.zeros(features, np.float32)
    values[active] = 1e-3
    starts = row_starts(features, most)
    shown = shades(values, starts)
    assert len(shown) == min(features, most)
    row = int(np.flatnonzero(shown)[0])
    assert np.count_nonzero(shown) == 1 and shown[row] >= WEAKEST
    ends = np.append(starts[1:], features)
    assert starts[row] <= active < ends[row]
    assert np.ptp(ends - starts) <= 1


def test_shades_grow_with_the_activation_and_saturate_at_the_observed_maximum() -> None:
    values = np.array([0.0, 0.1, 0.5, 1.0, 7.0, -1.0], np.float32)
    shown = shades(values, row_starts(6, 6)).astype(int)
    assert shown[0] == 0 and shown[1] < shown[2] < shown[3]
    assert shown[3] == shown[4] == shown[5] == 255


@pytest.mark.parametrize("written", [0, 3, 4, 9])
def test_the_ring_holds_the_newest_columns_oldest_first_from_the_split(written: int) -> None:
    ring = ShadeRing(1, 4)
    for value in range(1, written + 1):
        ring.append(np.array([value], np.uint8))
    line = ring.pixels[0]
    in_order = np.concatenate([line[ring.split :], line[: ring.split]]).tolist()
    wanted = [0] * max(4 - written, 0) + list(range(max(written - 3, 1), written + 1))
    assert in_order == wanted


def test_rewriting_replaces_the_newest_column() -> None:
    ring = ShadeRing(1, 4)
    for value in (1, 2):
        ring.append(np.array([value], np.uint8))
    ring.rewrite(np.array([9], np.uint8))
    ring.append(np.array([3], np.uint8))
    assert ring.pixels[0].tolist() == [1, 9, 3, 0]
