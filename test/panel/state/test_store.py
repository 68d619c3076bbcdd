"""What the store makes of messages: order, restarts, other bundles, odd text."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from vla_sae_ros.core.errors import ObservationError
from vla_sae_ros.core.steering import Phase
from vla_sae_ros.msg import FeatureActivations, FeatureCatalogue, FeatureInfo, FeatureTest
from vla_sae_ros.panel.ros.from_messages import activations, catalogue_view, picture
from vla_sae_ros.panel.state.history import FRAMES, LARGEST, History
from vla_sae_ros.panel.state.incoming import HEATMAP, Incoming
from vla_sae_ros.panel.state.steering_windows import SteeringWindows
from vla_sae_ros.panel.state.store import Store
from vla_sae_ros.panel.state.values import EventView, Picture
from vla_sae_ros.wire.conversions import to_floats, to_header, to_image, to_unsigned


@pytest.fixture
def incoming() -> Incoming:
    return Incoming()


@pytest.fixture
def store(incoming, make_catalogue) -> Store:
    made = Store()
    incoming.catalogues.put("", make_catalogue())
    made.take(incoming)
    return made


def test_an_older_inference_that_comes_late_changes_nothing_and_is_counted(
    store, incoming, make_activations
) -> None:
    incoming.activations.put(make_activations("expert.0", {1: (2.0, 2.0)}, 7, time=10.0))
    incoming.activations.put(make_activations("expert.0", {1: (9.0, 9.0)}, 6, time=9.9))
    store.take(incoming)
    assert store.columns.natural[store.columns.row_of(("expert.0", 1))] == 2.0
    assert store.counters.late == 1
    assert len(store.history) == 1


def test_inferences_that_count_from_one_again_are_a_restarted_policys(
    store, incoming, make_activations
) -> None:
    incoming.activations.put(make_activations("expert.0", {1: (2.0, 2.0)}, 700, time=10.0))
    restarted = make_activations("expert.0", {1: (4.0, 4.0)}, 1, time=8.0, policy_start_ns=5)
    incoming.activations.put(restarted)
    store.take(incoming)
    assert store.columns.natural[store.columns.row_of(("expert.0", 1))] == 4.0
    assert store.counters.late == 0


def test_both_sites_of_one_inference_are_one_frame_of_history(
    store, incoming, make_activations
) -> None:
    for inference, time in ((1, 10.0), (2, 10.1)):
        incoming.activations.put(make_activations("backbone.1", {0: (2.0, 2.0)}, inference, time))
        incoming.activations.put(make_activations("expert.0", {1: (1.0, 3.0)}, inference, time))
    store.take(incoming)
    rows = store.rows([("backbone.1", 0), ("expert.0", 1)])
    assert store.history.times().tolist() == [10.0, 10.1]
    assert store.history.natural(rows).tolist() == [[1.0, 0.5]] * 2  # in observed maxima of 2
    assert store.history.applied(rows).tolist() == [[1.0, 1.5]] * 2


def test_a_site_that_was_not_heard_of_yet_has_no_value_and_not_zero(
    store, incoming, make_activations
) -> None:
    incoming.activations.put(make_activations("backbone.1", {0: (2.0, 2.0)}, 1, 10.0))
    store.take(incoming)
    rows = store.rows([("backbone.1", 0), ("backbone.1", 1), ("expert.0", 1)])
    for values in (store.history.natural(rows), store.history.applied(rows)):
        assert values[0, :2].tolist() == [1.0, 0.0] and np.isnan(values[0, 2])
    taken = store.history.taken
    incoming.activations.put(make_activations("expert.0", {}, 1, 10.0))
    store.take(incoming)
    assert store.history.natural(rows).tolist() == [[1.0, 0.0, 0.0]]
    assert store.history.taken == taken + 1, "the traces are drawn again"


def test_history_is_the_last_frames_of_a_naive_list(make_activations) -> None:
    rng = np.random.default_rng(3)
    history, naive = History(np.full(5, 2.0), np.zeros(5, int)), []
    for inference in range(1, FRAMES + 50):
        rows = np.sort(rng.choice(5, 2, replace=False))
        values = rng.integers(0, 8, 2).astype(float)
        message = make_activations("s", {}, inference, time=float(inference))
        history.add(message, 0, rows, values, 2 * values)
        dense = np.zeros(5)
        dense[rows] = values / 2
        naive.append(dense)
    kept = np.array(naive[-FRAMES:])
    assert np.array_equal(history.natural(), kept)
    assert np.array_equal(history.applied(np.array([4, 1]), last=9.0), 2 * kept[-10:, [4, 1]])
    assert np.array_equal(history.change(9.0), np.ptp(2 * kept[-10:], axis=0))


def test_history_of_a_large_dictionary_stays_within_its_memory() -> None:
    history = History(np.ones(65_536), np.zeros(65_536, int))
    assert 2 < history.capacity < FRAMES
    assert history._natural.nbytes + history._applied.nbytes <= LARGEST


def test_a_clock_that_begins_anew_begins_a_new_history(make_activations) -> None:
    history = History(np.ones(2), np.zeros(2, int))
    for inference, time in ((1, 100.0), (2, 101.0), (3, 5.0)):
        history.add(
            make_activations("s", {}, inference, time), 0, np.array([0]), np.ones(1), np.ones(1)
        )
    assert history.times().tolist() == [5.0]


def test_a_policy_with_another_bundle_takes_the_table_and_says_which_edits_are_gone(
    store, incoming, make_catalogue, make_steering
) -> None:
    incoming.steering.put(make_steering(("expert.0", 1, 2.0), revision=4, time=9.0))
    store.take(incoming)
    incoming.catalogues.put("", make_catalogue(size=6, policy="policy-b"))
    changes = store.take(incoming)
    assert changes.catalogue
    assert "1 edits" in changes.notices[0]
    assert store.columns.size == 12 and not store.columns.edits


def test_a_restarted_policys_first_state_survives_its_catalogue(
    store, incoming, make_catalogue, make_steering
) -> None:
    incoming.steering.put(make_steering(("expert.0", 1, 2.0), revision=4, time=9.0))
    store.take(incoming)
    incoming.steering.put(
        make_steering(revision=4, policy_start_ns=5)
    )  # latched topics come in any order
    (notice,) = store.take(incoming).notices
    assert "restarted" in notice and "1 edits" in notice
    incoming.catalogues.put("", make_catalogue(size=6, policy="policy-b"))
    store.take(incoming)
    assert store.steering is not None and store.steering.policy_start_ns == 5


def test_a_steering_state_that_comes_late_is_left_out_and_counted(
    store, incoming, make_steering
) -> None:
    incoming.steering.put(make_steering(("expert.0", 1, 2.0), revision=4, time=9.0))
    incoming.steering.put(make_steering(revision=3, time=8.0))
    store.take(incoming)
    assert store.steering.revision == 4 and store.columns.edits
    assert store.counters.late == 1


def test_new_words_about_the_same_features_keep_values_and_edits(
    store, incoming, make_catalogue, make_steering
) -> None:
    incoming.steering.put(make_steering(("expert.0", 1, 2.0)))
    store.take(incoming)
    catalogue = replace(make_catalogue(), labels=("renamed",) * 8)
    incoming.catalogues.put("", catalogue)
    assert not store.take(incoming).catalogue
    assert store.columns.edits and store.columns.matching("renamed").all()


def test_refusals_and_caps_of_anybody_are_counted(store, incoming) -> None:
    for kind in ("refused", "capped", "set", "refused"):
        incoming.events.put(EventView(1.0, kind, "me", "", 0, math.nan, math.nan, "", 1))
    store.take(incoming)
    assert (store.counters.refused, store.counters.capped, store.events_seen) == (2, 1, 4)


def test_pictures_and_the_heatmap_are_kept_apart(store, incoming) -> None:
    picture = Picture(1.0, np.zeros((2, 2, 3), np.uint8))
    incoming.pictures.put("wrist", picture)
    incoming.pictures.put(HEATMAP, picture)
    store.take(incoming)
    assert list(store.pictures) == ["wrist"] and store.heatmap is picture


def test_a_window_is_open_while_its_edit_acts(make_steering) -> None:
    windows = SteeringWindows()
    windows.take(make_steering(("s", 1, 1.0), time=1.0))
    windows.take(make_steering(("s", 1, 1.0), time=2.0, bypass=True))
    windows.take(make_steering(("s", 1, 1.0), time=3.0))
    windows.take(make_steering(("s", 1, 1.0), time=4.0, phase=Phase.RELEASING))
    windows.take(make_steering(time=5.0))
    assert [(w.start, w.end) for w in windows.since(0.0)] == [(1.0, 2.0), (3.0, 5.0)]
    assert [(w.start, w.end) for w in windows.since(2.5)] == [(3.0, 5.0)]


ODD = ("\x00bell\x07\nline", "\u202eevil rtl \u202c", "x" * 100_000, "🤖 grasps 🫳", "שלום", "\t")


def test_odd_texts_become_one_printable_line_and_stray_entries_are_counted() -> None:
    message = FeatureCatalogue(
        policy_id="p",
        sites=["s"],
        bundle_ids=["b"],
        dictionary_sizes=to_unsigned([len(ODD)]),
        can_steer=[True],
        mean_residual_norms=to_floats([1.0]),
        features=[
            *(
                FeatureInfo(site="s", feature=f, label=text, observed_max=1.0)
                for f, text in enumerate(ODD)
            ),
            FeatureInfo(site="s", feature=99),
            FeatureInfo(site="nowhere", feature=0),
        ],
    )
    catalogue = catalogue_view(message)
    assert all(label.isprintable() and len(label) <= 300 for label in catalogue.labels)
    assert catalogue.labels[0] == "bell line" and catalogue.labels[3] == "🤖 grasps 🫳"
    assert catalogue.stray == 2


def test_features_that_the_catalogue_does_not_list_are_rows_too() -> None:
    message = FeatureCatalogue(
        policy_id="p",
        sites=["a", "b"],
        bundle_ids=["x", "y"],
        dictionary_sizes=to_unsigned([3, 5]),
        can_steer=[True, True],
        mean_residual_norms=to_floats([1.0, 1.0]),
        features=[FeatureInfo(site="b", feature=4, label="last", observed_max=math.nan)],
    )
    catalogue = catalogue_view(message)
    assert catalogue.size == len(catalogue.labels) == 8
    assert catalogue.labels[7] == "last" and catalogue.listed.tolist() == [False] * 7 + [True]
    assert catalogue.observed_max[7] == 0.0  # not a number: unknown


def test_a_catalogue_that_no_table_could_hold_is_refused() -> None:
    message = FeatureCatalogue(
        sites=["s"], dictionary_sizes=to_unsigned([2**22 + 1]), can_steer=[True]
    )
    with pytest.raises(ObservationError, match="features of a catalogue: got 4194305"):
        catalogue_view(message)


def test_a_name_counts_as_tested_only_if_it_is_the_newest_thing_that_a_study_found() -> None:
    up, down, nothing = (
        FeatureTest(study=study, label="hand goes up", outcome=outcome)
        for study, outcome in (("one", "as named"), ("two", "causal"), ("three", "not shown"))
    )
    tests = ([up], [down, up], [up, nothing], [up, down], [nothing], [])
    message = FeatureCatalogue(
        sites=["s"],
        bundle_ids=["b"],
        dictionary_sizes=to_unsigned([len(tests)]),
        can_steer=[True],
        mean_residual_norms=to_floats([1.0]),
        features=[FeatureInfo(site="s", feature=f, tests=own) for f, own in enumerate(tests)],
    )
    catalogue = catalogue_view(message)
    assert catalogue.names == ("hand goes up",) * 3 + ("",) * 3
    assert catalogue.outcomes == ("as named",) * 3 + ("causal", "not shown", "")
    assert catalogue.labels == ("",) * 6, "a label is what a tool or a person gave"


def test_activations_of_unequal_lengths_are_refused() -> None:
    with pytest.raises(Exception, match="lengths of index"):
        activations(
            FeatureActivations(
                site="s",
                index=to_unsigned([1, 2]),
                natural=to_floats([1.0]),
                applied=to_floats([1.0]),
            )
        )


def test_pictures_come_as_rgb_whatever_their_encoding() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    message = to_image(pixels, to_header(2_500_000_000))
    assert np.array_equal(picture(message).pixels, pixels) and picture(message).time == 2.5
    message.encoding = "bgr8"
    assert np.array_equal(picture(message).pixels, pixels[:, :, ::-1])
    message.encoding = "16UC1"
    with pytest.raises(Exception, match="encoding of a picture"):
        picture(message)
