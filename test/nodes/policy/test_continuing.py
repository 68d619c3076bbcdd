"""Which chunk real-time chunking continues, which it does not, and how late it expects to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vla_sae_ros.core.steering import AppliedEdit, Mode, Snapshot
from vla_sae_ros.msg import ExecutedAction
from vla_sae_ros.nodes.policy.continuing import DELAYS_KEPT, Continuing
from vla_sae_ros.nodes.policy.inference_worker import Job
from vla_sae_ros.policy.inference import NO_STEERING, Continued, Inference

HORIZON, START = 10, 77
PERIOD = 50_000_000
EDITED = Snapshot(1, {"expert.0": (AppliedEdit(2, Mode.ADD, 3.0, 1.0),)})


class FakeEngine:
    """Row i of its n-th chunk is 100 n + i; keeps what each was to continue."""

    def __init__(self) -> None:
        self.previous: list[Continued | None] = []

    def infer(
        self,
        frame: Mapping[str, np.ndarray],
        instruction: str,
        noise_seed: tuple[int, int],
        steering: Snapshot = NO_STEERING,
        previous: Continued | None = None,
    ) -> Inference:
        self.previous.append(previous)
        rows = 100 * len(self.previous) + np.arange(HORIZON, dtype=np.float32)
        chunk = np.repeat(rows[:, None], 7, axis=1)
        return Inference(chunk, tuple, 0, False, 1.0, None, chunk, previous)


class Served:
    """The chunks of one policy process, published one after the other."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.continuing = Continuing(self.engine, START)  # type: ignore[arg-type]
        self._chunk_id = 0

    def chunk(self, job: Job, snapshot: Snapshot = NO_STEERING) -> Continued | None:
        """Infer and publish; return what was continued."""
        inference = self.continuing.infer(job, snapshot)
        self._chunk_id += 1
        self.continuing.published(job, inference, self._chunk_id)
        return self.engine.previous[-1]

    def tick(self, step: int, chunk_id: int = 0, row: int = 0, **fields: Any) -> None:
        fields = {"policy_start": START, "episode_id": "e1"} | fields
        self.continuing.executed(
            ExecutedAction(step=step, chunk_id=chunk_id, chunk_index=row, **fields)
        )


def job(step: int, **fields: Any) -> Job:
    return replace(Job({}, "do it", "e1", 1000 + step * PERIOD, 1000, 1, step), **fields)


def test_the_first_chunk_continues_nothing_and_the_next_one_what_is_left_of_it() -> None:
    served = Served()
    assert served.chunk(job(0)) is None
    previous = served.chunk(job(4))
    assert previous is not None and (previous.chunk_id, previous.delay) == (1, 0)
    assert previous.rest[:, 0].tolist() == [104, 105, 106, 107, 108, 109]
    previous = served.chunk(job(6))
    assert previous is not None and previous.chunk_id == 2
    assert previous.rest[:, 0].tolist() == [202, 203, 204, 205, 206, 207, 208, 209]
    assert served.continuing.continued == 2


def test_a_replan_continues_the_whole_chunk_of_the_same_observation() -> None:
    served = Served()
    served.chunk(job(4))
    previous = served.chunk(job(4, replan=True), EDITED)
    assert previous is not None and len(previous.rest) == HORIZON


def test_a_chunk_that_is_used_up_is_not_continued() -> None:
    served = Served()
    served.chunk(job(0))
    assert served.chunk(job(HORIZON)) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"episode_id": "e2"},
        {"instruction": "do something else"},
        {"instruction_revision": 1},
        {"seed": 2},
        {"start_ns": 5},
        {"stamp_ns": 3},
        {"step": 1},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_nothing_is_continued_into_another_episode_instruction_or_clock(
    changed: dict[str, Any],
) -> None:
    served = Served()
    served.chunk(job(2))
    assert served.chunk(replace(job(4), **changed)) is None


def test_an_edit_comes_in_on_a_continued_chunk_and_leaves_on_one_from_scratch() -> None:
    served = Served()
    served.chunk(job(0))
    assert served.chunk(job(2), EDITED) is not None
    assert served.chunk(job(4), EDITED) is not None
    assert served.chunk(job(6), Snapshot(2, bypass=True)) is None
    assert served.chunk(job(8), Snapshot(2, bypass=True)) is not None


def test_nothing_is_continued_across_what_a_person_commanded() -> None:
    served = Served()
    served.chunk(job(0))
    served.tick(0, 1)
    served.tick(1, source=ExecutedAction.PERSON)
    assert served.chunk(job(2)) is None
    served.tick(2, source=ExecutedAction.PERSON)
    assert served.chunk(job(3)) is None
    assert served.chunk(job(4)) is not None


def test_a_chunk_that_stopped_being_executed_is_not_continued_and_one_to_come_is() -> None:
    served = Served()
    served.tick(0, source=ExecutedAction.HOLD)
    served.chunk(job(0))
    served.tick(1, source=ExecutedAction.HOLD)  # the chunk is on its way
    assert served.chunk(job(2)) is not None
    served.tick(2, 2)
    served.tick(3, source=ExecutedAction.HOLD)
    assert served.chunk(job(4)) is None


def test_in_lockstep_no_delay_is_expected_however_late_the_ticks_are_heard_of() -> None:
    served = Served()
    for step in range(0, 30, 3):
        previous = served.chunk(job(step))
        assert previous is None or previous.delay == 0
        if step % 2:
            for tick in range(step):
                served.tick(tick, tick // 3 + 1, tick % 3)


def test_the_longest_of_the_last_delays_is_expected() -> None:
    served = Served()
    for number, row in enumerate((2, 1, *[0] * (DELAYS_KEPT - 2)), start=1):
        served.chunk(job(number * HORIZON))
        served.tick(number * HORIZON + row, number, row)
        assert served.continuing.delay == 2
    served.chunk(job(900))
    served.tick(900, DELAYS_KEPT + 1)
    assert served.continuing.delay == 1


def test_what_was_executed_since_the_observation_adds_to_the_delay_of_a_replan() -> None:
    served = Served()
    served.chunk(job(0))
    served.tick(2, 1, 2)  # entered two ticks late
    for step in (3, 4, 5):
        served.tick(step, 1, step)
    previous = served.chunk(job(0, replan=True), EDITED)
    assert previous is not None and previous.delay == 6 + 2
    served.tick(8, 2, 8)  # and so it was: two ticks from its start
    assert served.continuing.delay == 2


def test_a_delay_is_never_longer_than_what_is_left() -> None:
    served = Served()
    served.chunk(job(0))
    served.tick(9, 1, 9)
    previous = served.chunk(job(7))
    assert previous is not None and (len(previous.rest), previous.delay) == (3, 3)


def test_ticks_of_an_earlier_process_or_another_episode_teach_nothing() -> None:
    served = Served()
    served.chunk(job(0))
    served.tick(5, 1, 5, policy_start=START - 1)
    assert served.continuing.delay == 0
    served.tick(8, 1, 0, episode_id="e0")
    previous = served.chunk(job(2))
    assert previous is not None and previous.delay == 0
