"""Make an untrained policy and a random SAE that fit an environment, to try everything with.

    python examples/untrained_policy.py out/untrained --env metaworld --suite push-v3
    vla-sae rollout --env metaworld --suite push-v3 --policy out/untrained/policy --episodes 1
    vla-sae up sim --env metaworld --suite push-v3 --policy out/untrained/policy --panel

You see the robot wander: the policy has the right inputs and outputs and has learned nothing.
Features stream and steering them changes the actions; what they mean, nobody knows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_sae_ros.policy.tiny.untrained import write_untrained_policy
from vla_sae_ros.sim.lerobot_envs.benchmark import LerobotBenchmark

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--env", required=True)
    parser.add_argument("--suite", default="")
    given = parser.parse_args()
    facts = LerobotBenchmark(given.env).facts(given.suite)
    instructions = [task.instruction for task in facts.tasks]
    for folder in write_untrained_policy(
        given.folder, facts.shapes, facts.low, facts.high, instructions
    ):
        print(folder)
