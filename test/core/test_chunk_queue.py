from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vla_sae_ros.core.chunk_queue import Chunk, ChunkQueue, Refusal

RATE = 20.0


def chunk(
    chunk_id: int,
    observation_step: int,
    horizon: int = 10,
    revision: int = 0,
    episode: str = "e1",
    rate: float = RATE,
    policy_start: int = 0,
) -> Chunk:
    """The action for tick t of chunk c is (c, t): a wrong row shows in the value."""
    ticks = np.arange(observation_step, observation_step + horizon)
    actions = np.stack([np.full(horizon, chunk_id), ticks], axis=1).astype(np.float32)
    return Chunk(chunk_id, episode, observation_step, revision, actions, rate, policy_start)


@pytest.fixture
def queue() -> ChunkQueue:
    made = ChunkQueue(action_dim=2, control_rate=RATE)
    made.reset("e1")
    return made


def run(queue: ChunkQueue, first: int, last: int) -> list[tuple[int, int] | None]:
    """Pop ticks first..last - 1 as (chunk id, row)."""
    planned = [queue.pop(step) for step in range(first, last)]
    return [None if p is None else (p.chunk_id, p.chunk_index) for p in planned]


def test_an_empty_queue_has_no_action(queue):
    assert queue.pop(0) is None


def test_a_chunk_is_executed_row_by_row_and_then_the_queue_is_empty(queue):
    assert queue.push(chunk(1, 0, horizon=3)).accepted
    assert run(queue, 0, 4) == [(1, 0), (1, 1), (1, 2), None]


def test_a_late_chunk_enters_at_the_executed_tick(queue):
    queue.push(chunk(1, 0))
    run(queue, 0, 4)
    queue.push(chunk(2, 0))
    planned = queue.pop(4)
    assert (planned.chunk_id, planned.chunk_index, planned.step) == (2, 4, 4)
    assert planned.action.tolist() == [2, 4]


def test_a_chunk_for_a_later_tick_waits_while_the_old_one_goes_on(queue):
    queue.push(chunk(1, 0))
    queue.push(chunk(2, 3))
    assert run(queue, 0, 5) == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]


def test_a_newer_chunk_replaces_a_waiting_one(queue):
    queue.push(chunk(1, 0))
    queue.push(chunk(2, 4))
    queue.push(chunk(3, 2, horizon=4))
    assert run(queue, 0, 7) == [(1, 0), (1, 1), (3, 0), (3, 1), (3, 2), (3, 3), None]


def test_a_replaced_chunk_does_not_come_back_when_the_newer_one_is_shorter(queue):
    queue.push(chunk(1, 0, horizon=10))
    queue.push(chunk(2, 0, horizon=2))
    assert run(queue, 0, 4) == [(2, 0), (2, 1), None, None]


def test_a_chunk_whose_ticks_are_all_over_is_too_late(queue):
    queue.push(chunk(1, 0))
    run(queue, 0, 10)
    assert queue.push(chunk(2, 0)).reason is Refusal.TOO_LATE
    assert queue.push(chunk(3, 0, horizon=11)).accepted
    assert run(queue, 10, 11) == [(3, 10)]


def test_a_chunk_that_arrives_twice_is_taken_once(queue):
    queue.push(chunk(1, 0))
    assert queue.push(chunk(1, 0)).reason is Refusal.DUPLICATE


def test_a_chunk_overtaken_by_a_newer_one_is_out_of_order(queue):
    queue.push(chunk(2, 0))
    refusal = queue.push(chunk(1, 0))
    assert refusal.reason is Refusal.OUT_OF_ORDER
    assert "chunk 2 was taken" in refusal.detail


def test_a_chunk_of_another_episode_is_refused(queue):
    refusal = queue.push(chunk(1, 0, episode="e0"))
    assert refusal.reason is Refusal.WRONG_EPISODE
    assert "'e0'" in refusal.detail


def test_a_chunk_with_an_older_steering_revision_is_refused(queue):
    queue.push(chunk(1, 0, revision=2))
    assert queue.push(chunk(2, 0, revision=1)).reason is Refusal.OLD_REVISION
    assert queue.push(chunk(3, 0, revision=2)).accepted


def test_a_restarted_policy_counts_chunks_and_revisions_anew(queue):
    queue.push(chunk(7, 0, revision=5, policy_start=100))
    assert queue.push(chunk(1, 2, revision=0, policy_start=200)).accepted
    assert run(queue, 0, 4) == [(7, 0), (7, 1), (1, 0), (1, 1)]
    refusal = queue.push(chunk(8, 4, revision=5, policy_start=100))
    assert refusal.reason is Refusal.OUT_OF_ORDER
    assert "restarted" in refusal.detail
    assert queue.push(chunk(1, 2, policy_start=200)).reason is Refusal.DUPLICATE


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (Chunk(1, "e1", 0, 0, np.zeros((0, 2), np.float32), RATE), "shape"),
        (Chunk(1, "e1", 0, 0, np.zeros((3, 5), np.float32), RATE), "shape"),
        (Chunk(1, "e1", 0, 0, np.zeros(6, np.float32), RATE), "shape"),
        (Chunk(1, "e1", 0, 0, np.full((1, 2), np.nan, np.float32), RATE), "finite"),
        (Chunk(1, "e1", 0, 0, np.full((1, 2), np.inf, np.float32), RATE), "finite"),
        (Chunk(0, "e1", 0, 0, np.zeros((1, 2), np.float32), RATE), "at least 1"),
        (Chunk(1, "e1", -1, 0, np.zeros((1, 2), np.float32), RATE), "at least 1"),
        (Chunk(1, "e1", 0, 0, np.zeros((1, 2), np.float32), 15.0), "15 Hz"),
        (Chunk(1, "e1", 0, 0, np.zeros((1, 2), np.float32), float("nan")), "Hz"),
    ],
)
def test_a_malformed_chunk_is_refused_with_the_reason(queue, broken, words):
    refusal = queue.push(broken)
    assert refusal.reason is Refusal.MALFORMED
    assert words in refusal.detail
    assert queue.pop(0) is None


def test_refusals_are_counted_by_reason_and_a_reset_clears_them(queue):
    queue.push(chunk(1, 0))
    queue.push(chunk(1, 0))
    queue.push(chunk(2, 0, episode="x"))
    assert queue.counts == {Refusal.DUPLICATE: 1, Refusal.WRONG_EPISODE: 1}
    assert queue.dropped == 2
    queue.reset("e2")
    assert queue.dropped == 0
    assert queue.pop(0) is None
    assert queue.push(chunk(1, 0, episode="e2")).accepted


def test_a_tick_cannot_be_asked_for_twice(queue):
    queue.pop(3)
    with pytest.raises(ValueError, match="tick 3 is over"):
        queue.pop(3)


events = st.one_of(
    st.none(),  # execute one tick
    st.builds(
        chunk,
        chunk_id=st.integers(1, 12),
        observation_step=st.integers(0, 12),
        horizon=st.integers(1, 6),
        revision=st.integers(0, 3),
        episode=st.sampled_from(["e1", "e1", "e1", "e0"]),
    ),
)


@given(st.lists(events, max_size=60))
def test_every_executed_action_is_the_right_row_of_the_newest_chunk_that_had_begun(script):
    queue = ChunkQueue(action_dim=2, control_rate=RATE)
    queue.reset("e1")
    accepted: list[Chunk] = []
    executed: list[tuple[int, int]] = []
    step = 0
    for event in script:
        if event is not None:
            if queue.push(event).accepted:
                accepted.append(event)
            continue
        begun = [old for old in accepted if old.observation_step <= step]
        expected = max(begun, key=lambda old: old.chunk_id, default=None)
        planned = queue.pop(step)
        if planned is None:
            assert expected is None or expected.end <= step
        else:
            assert expected is not None
            assert planned.chunk_index == step - expected.observation_step
            assert planned.action.tolist() == [expected.chunk_id, step]
            executed.append((planned.chunk_id, planned.steering_revision))
        step += 1
    assert executed == sorted(executed), "went back to an older chunk"
    revisions = [revision for _, revision in executed]
    assert revisions == sorted(revisions), "went back to an older steering revision"


def test_after_a_restart_nothing_that_was_computed_before_it_is_executed(queue):
    queue.push(chunk(1, 0))
    run(queue, 0, 3)
    queue.restart(3)
    assert run(queue, 3, 5) == [None, None]
    refused = queue.push(chunk(2, 2, horizon=20))
    assert (refused.accepted, refused.reason) == (False, Refusal.BEFORE_HANDBACK)
    assert "tick 2" in refused.detail and queue.dropped == 1
    assert queue.push(chunk(3, 3, horizon=20)).accepted
    assert run(queue, 5, 7) == [(3, 2), (3, 3)]
