"""Questions that wait for one another for a moment, and answers that are each one's own."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from patience import PATIENCE

from vla_sae_ros.core.errors import ObservationError
from vla_sae_ros.study.batches import batcher as module
from vla_sae_ros.study.batches.batcher import Batcher


class Doubling:
    """An engine whose rows are numbers; `gate` holds it back."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[list[int]] = []

    def infer(self, rows: list[int]) -> list[int]:
        assert self.gate.wait(PATIENCE)
        self.asked.append(rows)
        if 13 in rows:
            raise ObservationError("13 is refused")
        if 99 in rows:
            raise RuntimeError("broken")
        return [2 * row for row in rows]


SESSION = SimpleNamespace(row=lambda question: question, answer=lambda question, row: row + 0.5)


def test_what_waits_while_the_policy_infers_is_one_batch_of_at_most_so_many() -> None:
    engine = Doubling()
    batcher = Batcher(engine, 3)
    batcher.expected = 1
    engine.gate.clear()
    futures = [batcher.submit(SESSION, 0)]
    while not batcher._queue.empty():
        pass  # the first is being inferred
    batcher.expected = 5
    futures += [batcher.submit(SESSION, number) for number in range(1, 6)]
    engine.gate.set()
    assert [one.result(PATIENCE) for one in futures] == [2 * n + 0.5 for n in range(6)]
    batcher.close()
    assert engine.asked == [[0], [1, 2, 3], [4, 5]] and batcher.batches == [1, 3, 2]


def test_a_batch_of_all_who_ask_is_not_held_up_for_more(monkeypatch) -> None:
    monkeypatch.setattr(module, "FILL_S", 10 * PATIENCE)
    batcher = Batcher(Doubling(), 8)
    batcher.expected = 2
    futures = [batcher.submit(SESSION, number) for number in (1, 2)]
    assert [one.result(PATIENCE) for one in futures] == [2.5, 4.5]
    batcher.close()


def test_a_refused_question_is_its_own_affair_and_a_broken_engine_everybodys() -> None:
    engine = Doubling()
    batcher = Batcher(engine, 4)
    engine.gate.clear()
    batcher.submit(SESSION, 0)
    first = [batcher.submit(SESSION, number) for number in (1, 13, 2)]
    engine.gate.set()
    assert first[0].result(PATIENCE) == 2.5 and first[2].result(PATIENCE) == 4.5
    with pytest.raises(ObservationError, match="13"):
        first[1].result(PATIENCE)
    with pytest.raises(RuntimeError, match="broken"):
        batcher.submit(SESSION, 99).result(PATIENCE)
    assert batcher.submit(SESSION, 5).result(PATIENCE) == 10.5
    batcher.close()
