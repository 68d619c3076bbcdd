"""Dataset aggregation: let the policy drive, let the expert say what it should have done.

Ross, Gordon, Bagnell, "A reduction of imitation learning and structured prediction to no-regret
online learning", 2011. Policy and expert take turns, so that every state that the policy leads to
is followed by a stretch in which the expert shows the way out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vla_sae_ros.core.picture_record import write_picture_record
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.sim.environment import FloatArray, Observation
from vla_sae_ros.sim.libero import LiberoEnvironment
from vla_sae_ros.study.demonstrations.files import (
    INDEX_NAME,
    EpisodeInfo,
    read_index,
    write_episode,
)
from vla_sae_ros.study.demonstrations.scripted import (
    EpisodePlan,
    demonstrate,
    task_of,
)
from vla_sae_ros.study.rollouts.policy_runner import PolicyRunner

POLICY_STEPS = (5, 26)
"""Least and one more than the most steps of a policy's turn."""
EXPERT_STEPS = 12


class TakingTurns:
    """Executes the policy and the expert alternately; the policy starts."""

    def __init__(self, runner: PolicyRunner, generator: np.random.Generator) -> None:
        self._runner, self._generator = runner, generator
        self._policy_drives = False
        self._left = 0

    def __call__(self, observation: Observation, label: FloatArray) -> tuple[FloatArray, bool]:
        """Return the action to execute, and whether it was the policy's."""
        if self._left == 0:
            self._policy_drives = not self._policy_drives
            self._left = (
                int(self._generator.integers(*POLICY_STEPS))
                if self._policy_drives
                else EXPERT_STEPS
            )
            self._runner.drop_chunk()
        self._left -= 1
        if self._policy_drives:
            return self._runner.act(observation), True
        return label, False


def aggregate(
    folder: Path, policy_folder: Path, plans: list[EpisodePlan], names: Mapping[str, str] = {}
) -> list[EpisodeInfo]:
    """Make the planned episodes with the policy in the folder; returns the new ones.

    `names` are the policy's of the pictures and the state, where they differ (`--map`).
    """
    have = {info.file for info in read_index(folder)} if (folder / INDEX_NAME).exists() else set()
    environment = LiberoEnvironment()
    runner = PolicyRunner(PolicyEngine(load_policy(policy_folder)), environment, names=names)
    made = []
    try:
        write_picture_record(folder, environment.picture_record)
        for plan in tqdm(plans, desc="aggregating", unit="episode"):
            if f"episode_dagger_{plan.suite}_{plan.task_index}_{plan.seed:06d}.npz" in have:
                continue
            runner.start(task_of(plan).instruction, plan.seed)
            turns = TakingTurns(runner, np.random.default_rng([plan.seed, 2]))
            info, episode = demonstrate(environment, plan, turns, "dagger")
            write_episode(folder, info, episode)
            made.append(info)
    finally:
        environment.close()
    return made
