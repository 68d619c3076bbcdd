"""The worker's promises: what it hands over first, and which steering an inference gets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from patience import PATIENCE

from vla_sae_ros.core.readout import SiteReadout
from vla_sae_ros.core.steering import (
    Condition,
    Control,
    Edit,
    EventKind,
    Mode,
    Snapshot,
    Steering,
    SteeringSite,
)
from vla_sae_ros.nodes.policy.inference_worker import InferenceWorker, Job, infer_with
from vla_sae_ros.policy.inference import Inference

SITE = SteeringSite("expert.0", np.ones(4, np.float32), 5.0, ("action",))


class FakeEngine:
    """Infers when it is let; keeps the steering of every inference."""

    def __init__(self, said: list[str]) -> None:
        self.said = said
        self.steering: list[Snapshot] = []
        self.started = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def infer(self, frame: object, text: str, seed: object, steering: Snapshot) -> Inference:
        self.steering.append(steering)
        self.started.release()
        assert self.go.acquire(timeout=PATIENCE)
        return Inference(np.zeros((2, 7), np.float32), self._read_out, steering.revision, False, 1)

    def _read_out(self) -> tuple[SiteReadout, ...]:
        self.said.append("read out")
        nothing = np.zeros(0, np.float32)
        return (SiteReadout("expert.0", nothing, nothing, nothing, 0.0, 1.0, 1.5, True, 0.1),)


class Bench:
    """A worker between a fake engine and a real steering."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.answered: list[Job] = []
        self.done = threading.Semaphore(0)
        self.engine = FakeEngine(self.said)
        self.steering = Steering([SITE])
        self.worker = InferenceWorker(
            infer_with(self.engine),  # type: ignore[arg-type]
            self.steering,
            self.steering.begin_inference,
            lambda _job, _inference: self.said.append("actions"),
            self._done,
            lambda _job, error: self.said.append(str(error)),
            lambda job: {("step", "", 0): float(job.step)},
        )

    def _done(self, job: Job, _inference: Inference) -> None:
        self.answered.append(job)
        self.said.append("done")
        self.done.release()

    def wait(self, semaphore: threading.Semaphore) -> None:
        assert semaphore.acquire(timeout=PATIENCE)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.engine.go.release(100)
    made.worker.stop()
    assert made.worker.failure is None


def job(step: int, replan: bool = False) -> Job:
    return Job({}, "do it", "e1", step * 50_000_000, 0, 1, step, replan)


def test_the_actions_are_handed_over_before_anything_is_read_out(bench: Bench) -> None:
    bench.worker.submit(job(1))
    bench.engine.go.release()
    bench.wait(bench.done)
    assert bench.said == ["actions", "read out", "done"]
    assert [event.kind for event in bench.steering.drain_events()] == [EventKind.CAPPED]


CHANGES: dict[str, Callable[[Steering], int]] = {
    "an edit": lambda steering: steering.set([Edit(2, Mode.ADD, 3.0)], "me"),
    "a release": lambda steering: steering.set([], "me", release=[("expert.0", 1)]),
    "bypass": lambda steering: steering.set_bypass(True, "me"),
    "a reset": lambda steering: steering.reset("me"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("replan", [True, False])
def test_an_accepted_change_is_in_the_very_next_inference(
    bench: Bench, change: str, replan: bool
) -> None:
    bench.steering.set([Edit(1, Mode.ADD, 1.0)], "me")
    bench.worker.submit(job(1))
    bench.wait(bench.engine.started)  # the policy is busy when the change comes
    revision = CHANGES[change](bench.steering)
    bench.worker.submit(job(1 if replan else 2, replan))
    bench.engine.go.release(2)
    bench.wait(bench.engine.started)
    bench.wait(bench.done)
    bench.wait(bench.done)
    before, after = bench.engine.steering
    assert (before.revision, after.revision) == (revision - 1, revision)
    assert before.edits != after.edits


def test_a_job_that_waited_while_the_steering_changed_takes_the_change_along(bench: Bench) -> None:
    bench.worker.submit(job(1))
    bench.wait(bench.engine.started)
    bench.worker.submit(job(2))
    revision = bench.steering.set([Edit(2, Mode.ADD, 3.0)], "me")
    bench.worker.submit(job(1, replan=True))  # older than what waits: adds nothing
    bench.engine.go.release(2)
    bench.wait(bench.done)
    bench.wait(bench.done)
    assert [steering.revision for steering in bench.engine.steering] == [0, revision]
    assert bench.worker.superseded == 1


def test_an_observation_is_inferred_from_again_when_the_instruction_is_another(
    bench: Bench,
) -> None:
    bench.worker.submit(job(1))
    assert bench.engine.started.acquire(timeout=PATIENCE)
    bench.worker.submit(job(1))  # asked again while it runs: nothing new
    bench.worker.submit(replace(job(1), instruction="another", instruction_revision=1))
    for _ in range(2):
        bench.engine.go.release()
    for _ in range(2):
        assert bench.done.acquire(timeout=PATIENCE)
    assert len(bench.engine.steering) == 2


def test_what_was_asked_for_last_is_inferred_from_also_when_a_clock_has_jumped_back(
    bench: Bench,
) -> None:
    bench.worker.submit(job(100))
    bench.wait(bench.engine.started)
    bench.worker.submit(job(101))
    bench.worker.submit(replace(job(2), episode_id="e2"))  # stamped before all others
    bench.worker.submit(job(101, replan=True))  # adds nothing to what waits
    bench.engine.go.release(3)
    for _ in range(2):
        bench.wait(bench.done)
    assert [each.step for each in bench.answered] == [100, 2]
    assert bench.worker.superseded == 2


def test_another_episode_is_inferred_from_also_where_a_clock_gives_it_the_same_stamp(
    bench: Bench,
) -> None:
    bench.worker.submit(job(1))
    bench.wait(bench.engine.started)
    bench.worker.submit(replace(job(1), episode_id="e2"))
    bench.engine.go.release(2)
    for _ in range(2):
        bench.wait(bench.done)
    assert [each.episode_id for each in bench.answered] == ["e1", "e2"]


def test_a_condition_reads_the_inference_before_and_the_step_of_its_own(bench: Bench) -> None:
    silent = Condition(site="expert.0", feature=1, below=0.5)  # the fake engine lists nothing
    late = Condition("step", above=1.0)
    edits = [Edit(1, Mode.ADD, 1.0, when=silent), Edit(2, Mode.ADD, 1.0, when=late)]
    bench.steering.set(edits, "me", lease=10.0)
    for step in (1, 2):
        bench.worker.submit(job(step))
        bench.engine.go.release()
        bench.wait(bench.done)
    acting = [
        {edit.feature for edits in snapshot.edits.values() for edit in edits}
        for snapshot in bench.engine.steering
    ]
    assert acting == [set(), {1, 2}]


def test_a_controller_reads_the_step_of_its_own_inference(bench: Bench) -> None:
    control = Control(reading="step", at=10.0, kp=0.1, bounds=(0.0, 5.0))
    edit = Edit(1, Mode.ADD, 0.0, control=control)
    bench.steering.set([edit], "me", lease=10.0)
    for step in (1, 2, 4):
        bench.worker.submit(job(step))
        bench.engine.go.release()
        bench.wait(bench.done)
    wanted = [snapshot.view.edits[0].commanded for snapshot in bench.engine.steering]
    assert wanted == pytest.approx([0.9, 0.8, 0.6])
