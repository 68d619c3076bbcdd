"""Taking turns between a policy and the expert."""

from __future__ import annotations

import numpy as np

from vla_sae_ros.sim.environment import Observation
from vla_sae_ros.study.demonstrations.dagger import EXPERT_STEPS, POLICY_STEPS, TakingTurns

OBSERVATION = Observation(np.zeros(7), np.zeros(3), np.array([1.0, 0, 0, 0]), np.zeros(2))


class FakeRunner:
    """Answers -1 and counts how often it was told to look again."""

    dropped = 0

    def drop_chunk(self) -> None:
        self.dropped += 1

    def act(self, observation: Observation) -> np.ndarray:
        return np.full(7, -1.0)


def test_policy_and_expert_take_turns_and_the_policy_starts() -> None:
    runner = FakeRunner()
    turns = TakingTurns(runner, np.random.default_rng(0))  # type: ignore[arg-type]
    steps = [turns(OBSERVATION, np.ones(7)) for _ in range(400)]
    drives = np.array([by_policy for _, by_policy in steps])
    for action, by_policy in steps:
        assert np.all(action == (-1.0 if by_policy else 1.0))
    changes = np.flatnonzero(np.diff(drives.astype(int))) + 1
    runs = np.diff([0, *changes])
    assert drives[0] and set(runs[1::2]) == {EXPERT_STEPS}
    assert min(runs[0::2]) >= POLICY_STEPS[0] and max(runs[0::2]) < POLICY_STEPS[1]
    assert runner.dropped == len(runs) + 1
