from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_sae_ros.core.alignment import Align, Aligner, FrameIncomplete, Sample, SampleBuffer
from vla_sae_ros.core.errors import ObservationError

MS = 1_000_000
PERIOD = 50 * MS


def aligner(strategy: str, tolerance_ms: float | None = None) -> Aligner:
    return Aligner({"x": Align(strategy, "header", tolerance_ms)}, PERIOD)  # type: ignore[arg-type]


def test_hold_takes_the_newest_sample_however_old():
    stream = aligner("hold")
    stream.push("x", 1 * MS, "old")
    stream.push("x", 2 * MS, "newest")
    stream.push("x", 9_000_000 * MS, "from the future")
    assert stream.align(5_000_000 * MS)["x"].value == "newest"


def test_asof_takes_a_sample_at_its_tolerance_and_refuses_one_beyond_it():
    stream = aligner("asof", 30.0)
    stream.push("x", 100 * MS, "a")
    assert stream.align(130 * MS)["x"].value == "a"
    with pytest.raises(FrameIncomplete) as refusal:
        stream.align(130 * MS + 1)
    assert refusal.value.stale == {"x": pytest.approx(30.0, abs=1e-3)}
    assert refusal.value.missing == ()


def test_asof_with_no_tolerance_takes_only_the_exact_stamp():
    stream = aligner("asof", 0.0)
    stream.push("x", 100 * MS, "a")
    assert stream.align(100 * MS)["x"].value == "a"
    with pytest.raises(FrameIncomplete):
        stream.align(100 * MS + 1)


def test_drop_takes_only_a_sample_of_the_frames_own_period():
    stream = aligner("drop")
    stream.push("x", 100 * MS, "a")
    assert stream.align(150 * MS - 1)["x"].value == "a"
    with pytest.raises(FrameIncomplete, match=r"x is 50.0 ms old"):
        stream.align(150 * MS)


def test_the_error_names_every_missing_and_every_stale_stream():
    rules = {"camera": Align("hold", "header"), "state": Align("asof", "header", 10.0)}
    stream = Aligner(rules, PERIOD)
    stream.push("state", 0, 1)
    with pytest.raises(FrameIncomplete) as refusal:
        stream.align(PERIOD)
    assert refusal.value.missing == ("camera",)
    assert refusal.value.stale == {"state": 50.0}
    assert "camera has not arrived" in str(refusal.value)


def test_a_sample_that_arrives_out_of_order_finds_its_place():
    stream = aligner("hold")
    stream.push("x", 20 * MS, "second")
    stream.push("x", 10 * MS, "first")
    assert stream.align(15 * MS)["x"].value == "first"
    assert stream.align(25 * MS)["x"].value == "second"


def test_a_sample_sent_twice_counts_once():
    buffer = SampleBuffer(depth=2)
    for value in ("a", "b", "c"):
        buffer.push(Sample(10, value))
    buffer.push(Sample(20, "d"))
    assert buffer.stamps == [10, 20]
    assert buffer.newest_at(10) == Sample(10, "c")


def test_the_newest_complete_time_is_where_the_slowest_stream_still_aligns():
    stream = Aligner({"a": Align("asof", "header", 0.0), "b": Align("asof", "header", 0.0)}, PERIOD)
    for stamp in (10, 20, 30):
        stream.push("a", stamp, stamp)
    assert stream.newest_complete() is None
    stream.push("b", 20, 20)
    assert stream.newest_complete() == 20


def test_clearing_forgets_every_sample():
    stream = aligner("hold")
    stream.push("x", 1, "a")
    stream.clear()
    with pytest.raises(FrameIncomplete):
        stream.align(1)


def test_an_unknown_stream_is_refused_by_name():
    with pytest.raises(ObservationError, match="'y'"):
        aligner("hold").push("y", 0, 0)


@given(
    stamps=st.lists(st.integers(0, 1000), min_size=1, max_size=20),
    at=st.integers(0, 1200),
    strategy=st.sampled_from(["hold", "asof", "drop"]),
    tolerance=st.integers(0, 100),
)
def test_alignment_agrees_with_a_search_through_all_samples(stamps, at, strategy, tolerance):
    stream = Aligner(
        {"x": Align(strategy, "header", tolerance if strategy == "asof" else None)},
        period_ns=7 * MS,
    )
    for stamp in stamps:
        stream.push("x", stamp * MS, stamp)
    limit = {"hold": 10_000, "asof": tolerance, "drop": 6}[strategy]
    fitting = [stamp for stamp in stamps if 0 <= at - stamp <= limit]
    if fitting:
        assert stream.align(at * MS)["x"].value == max(fitting)
    else:
        with pytest.raises(FrameIncomplete):
            stream.align(at * MS)


def test_a_clock_that_was_set_back_does_not_blind_the_buffer():
    aligner = Aligner({"camera": Align("asof", "header", 100.0)}, 50 * MS)
    hour = 3600 * 1000 * MS
    for index in range(40):
        aligner.push("camera", 2 * hour + index * 50 * MS, "before")
    aligner.push("camera", hour, "after")
    assert aligner.align(hour + 10 * MS)["camera"].value == "after"


def test_a_request_is_met_although_a_fast_stream_went_on():
    """A controller's 1 kHz, and a request that is handled 60 ms after its stamp."""
    rules = {name: Align("asof", "header", 10.0) for name in ("joints", "camera")}
    stream = Aligner(rules, PERIOD, numbers={"joints"})
    for k in range(2000):
        stream.push("joints", k * MS, k)
    stream.push("camera", 1936 * MS, "seen")
    assert stream.align(1940 * MS)["joints"].value == 1940


def test_a_stream_of_another_clock_is_not_said_to_be_silent():
    """The request in simulation time, the camera in wall time."""
    stream = aligner("asof", 30.0)
    stream.push("x", 1_700_000_000_000 * MS, "wall")
    with pytest.raises(FrameIncomplete, match="every x that has arrived is stamped later"):
        stream.align(12 * MS)
