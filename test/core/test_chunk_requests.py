from __future__ import annotations

import numpy as np
import pytest

from vla_sae_ros.core.chunk_queue import Chunk
from vla_sae_ros.core.chunk_requests import ChunkRequests, Due


def chunk(step: int, length: int = 10) -> Chunk:
    return Chunk(1, "e", step, 0, np.zeros((length, 8), np.float32), 15.0)


def requests() -> ChunkRequests:
    return ChunkRequests(execute_steps=8, lead=3, resend_after=0.2)


def test_the_first_chunk_is_due_at_once():
    assert requests().due(0, 100.0, None) is Due.AGAIN


def test_a_request_is_made_again_only_after_its_patience():
    asked = requests()
    asked.asked(0, 100.0)
    assert asked.due(2, 100.1, None) is Due.NO
    assert asked.due(4, 100.3, None) is Due.AGAIN


@pytest.mark.parametrize("length, due_at", [(15, 8), (10, 7), (8, 5), (2, 0)])
def test_the_next_one_is_due_after_the_horizon_or_before_the_chunk_ends(length, due_at):
    asked = requests()
    asked.asked(0, 100.0)
    dues = [asked.due(step, 100.0, chunk(0, length)) for step in range(12)]
    assert dues.index(Due.YES) == due_at


def test_an_older_chunk_does_not_answer_a_newer_request():
    asked = requests()
    asked.asked(9, 100.0)
    assert not asked.is_answered(chunk(0))
    assert asked.is_answered(chunk(9))


def test_an_answer_that_could_not_be_used_is_due_again_at_once() -> None:
    asking = requests()
    asking.asked(4, 1.0)
    assert asking.due(5, 1.05, None) is Due.NO
    asking.answered_in_vain()
    assert asking.due(5, 1.05, None) is Due.AGAIN
