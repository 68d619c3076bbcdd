"""Two real environments of lerobot's, with what is known of them, and policies that fit them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import pytest

from vla_sae_ros.policy.tiny.untrained import write_untrained_policy
from vla_sae_ros.sim.lerobot_envs.benchmark import LerobotBenchmark


@dataclass(frozen=True)
class RealEnvironment:
    """An environment as the command line names it, and its widths."""

    env: str
    suite: str
    package: str
    install: str
    picture: str
    """Policy feature."""
    state: int
    action: int

    @property
    def options(self) -> list[str]:
        """What chooses it on the command line."""
        return ["--env", self.env, *(["--suite", self.suite] if self.suite else [])]


METAWORLD = RealEnvironment(
    "metaworld",
    "reach-v3",
    "metaworld",
    'pip install "metaworld==3.1.1"',
    "observation.image",
    4,
    4,
)
SO101 = RealEnvironment(
    "so101:image_obs=true,random_block_position=true,action_scale=0.025",
    "",
    "lerobot_env_so101",
    'pip install "lerobot-env-so101==0.4.0"',
    "observation.images.front",
    14,
    4,
)

BOTH = [
    pytest.param(
        one,
        id=one.package,
        marks=pytest.mark.skipif(importlib.util.find_spec(one.package) is None, reason=one.install),
    )
    for one in (METAWORLD, SO101)
]
"""For a parameter of a test or a fixture; one that is not installed is skipped with the remedy."""


def untrained_policy(real: RealEnvironment, folder: Path) -> tuple[Path, Path]:
    """Write an untrained policy and an SAE for it; return their folders."""
    facts = LerobotBenchmark(real.env).facts(real.suite)
    told = [task.instruction for task in facts.tasks]
    return write_untrained_policy(folder, facts.shapes, facts.low, facts.high, told)
