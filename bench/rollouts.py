"""Rollouts per hour and core: an experiment's against lerobot's own evaluation loop, in one run.

    python bench/rollouts.py [--rounds 3] [--steps 100]

All arms drive the same policy in the same LIBERO scene from the same initial states, one after
another in an order that changes; processor time is measured, so that a busy machine matters little.
"lerobot's" is lerobot_eval's rollout over a Gymnasium environment that gives both pictures at every
step, as lerobot's own LIBERO environment does; "plain" is the loop of `vla-sae rollout`, which
renders only where the policy looks and writes nothing down. Several at a time: side_by_side.py.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from vla_sae_ros.environment import prepare

prepare()

import gymnasium  # noqa: E402  (the environment has to be prepared first)
import torch  # noqa: E402
from gym_libero import GymLibero  # noqa: E402
from lerobot.processor import PolicyProcessorPipeline  # noqa: E402
from lerobot.scripts.lerobot_eval import rollout  # noqa: E402

from vla_sae_ros.live.demo_settings import read_demo_settings  # noqa: E402
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy  # noqa: E402
from vla_sae_ros.policy.engine import PolicyEngine  # noqa: E402
from vla_sae_ros.policy.loading import load_policy  # noqa: E402
from vla_sae_ros.resources import resource  # noqa: E402
from vla_sae_ros.sim.environment import TaskSpec  # noqa: E402
from vla_sae_ros.sim.suites import find_task  # noqa: E402
from vla_sae_ros.study.experiment.design.settings import Change, Pair, RunSettings  # noqa: E402
from vla_sae_ros.study.experiment.run.hooks import OwnSetup  # noqa: E402
from vla_sae_ros.study.experiment.run.rollouts import run_rollout  # noqa: E402
from vla_sae_ros.study.experiment.run.simulated_setup import SimulatedSetup, SimulatedSetupSpec  # noqa: E402
from vla_sae_ros.study.rollouts.policy_runner import PolicyRunner  # noqa: E402

_EDIT = read_demo_settings(resource("config", "demo.yaml")).steering.edits[0]
SITE, FEATURE = _EDIT.site, _EDIT.feature


def main() -> None:
    """Print the table as JSON."""
    arguments = _parser().parse_args()
    torch.set_num_threads(1)
    policy = resource("models", "demo", "policy")
    setup = SimulatedSetupSpec(policy, (resource("models", "demo", "sae", SITE),)).open()
    loaded, scene = load_policy(policy), setup.scene()
    task = find_task("libero_object", 0)
    arms = {
        "lerobot's rollout function": lambda seed: _lerobot(loaded, scene, task, seed, arguments),
        "plain loop": lambda seed: _plain(loaded, scene, task, seed, arguments),
        "experiment, no hook": lambda seed: _ours(setup, task, seed, arguments, False),
        "experiment, one edit": lambda seed: _ours(setup, task, seed, arguments, True),
    }
    scene.reset(task, 40, 0)  # the scene is built once, before anything is timed
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(arguments.rounds):
        for name in random.sample(list(arms), len(arms)):
            started = time.process_time()
            steps = arms[name](number)
            seconds[name].append((time.process_time() - started) / steps)
            print(f"round {number}, {name}: {steps} steps", flush=True)
    scene.close()
    print(json.dumps(_table(seconds, arguments.steps), indent=2))


def _ours(
    setup: SimulatedSetup,
    task: TaskSpec,
    seed: int,
    arguments: argparse.Namespace,
    steered: bool,
) -> int:
    bundle = setup.bundles[SITE]
    change = Change(SITE, f"row:{FEATURE}", -1, "add", "residual_norm", 0.1)
    hooks: dict[str, Any] = (
        {"changes": (change,), "taps": ((SITE, bundle.bundle_id),), "traced": ((SITE, FEATURE),)}
        if steered
        else {}
    )
    settings = RunSettings(
        "rollout",
        setup.policy[0],
        Pair("libero_object", "0", 40, seed),
        task.instruction,
        (seed,),
        arguments.steps,
        5,
        1.5,
        **hooks,
    )
    return run_rollout(OwnSetup(setup), settings, task).outcome.steps


def _plain(
    loaded: LoadedPolicy, scene: Any, task: TaskSpec, seed: int, arguments: argparse.Namespace
) -> int:
    runner = PolicyRunner(PolicyEngine(loaded), scene, 5)
    observation = scene.reset(task, 40, seed)
    runner.start(task.instruction, seed)
    for step in range(arguments.steps):
        result = scene.step(runner.act(observation))
        observation = result.observation
        if result.success:
            return step + 1
    return int(arguments.steps)


def _lerobot(
    loaded: LoadedPolicy, scene: Any, task: TaskSpec, seed: int, arguments: argparse.Namespace
) -> int:
    wrapped = GymLibero(lambda: scene, task, 40, arguments.steps)
    make: Callable[[], gymnasium.Env] = lambda: wrapped  # noqa: E731
    envs = gymnasium.vector.SyncVectorEnv([make])
    nothing: PolicyProcessorPipeline = PolicyProcessorPipeline(steps=[])
    torch.manual_seed(seed)
    with torch.no_grad():
        rollout(
            envs,
            loaded.policy,
            nothing,
            nothing,
            loaded.preprocessor,
            loaded.postprocessor,
            seeds=[seed],
        )
    return wrapped.steps


def _table(seconds: dict[str, list[float]], steps: int) -> dict[str, dict[str, float]]:
    mean = {name: float(np.mean(values)) for name, values in seconds.items()}
    base = mean["lerobot's rollout function"]
    return {
        name: {
            "processor ms per control step": round(each * 1e3, 1),
            f"rollouts of {steps} steps per hour and core": round(3600 / (each * steps), 1),
            "speed over lerobot's": round(base / each, 2),
        }
        for name, each in mean.items()
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100, help="control steps per rollout at most")
    return parser


if __name__ == "__main__":
    main()
