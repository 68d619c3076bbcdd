"""Episodes side by side: batches against lerobot's loop and against workers with a policy each.

    python bench/side_by_side.py [--environments 1 2 4] [--rounds 1] [--steps 40]

All arms drive the same policy in the same LIBERO scene at full quality with the same number of
environments, one arm after the other. "lerobot" is lerobot_eval's rollout over a Gymnasium vector
environment of so many processes, each of which gives both pictures at every step, as lerobot's own
LIBERO environment does. Memory is the proportional set size of this process and of all below it.
Where other programs run, compare ratios of processor time.

The episodes are short, 40 steps of up to 280, so that all of it takes less than 8 minutes on two
cores, most of it to import lerobot and to build scenes, which is not measured. Each row is printed
as soon as it is there; no arm is begun later than --budget seconds after the start, and what was
left out is said.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from vla_sae_ros.environment import prepare

prepare()

import gymnasium  # noqa: E402  (the environment has to be prepared first)
import torch  # noqa: E402
from gym_libero import GymLibero  # noqa: E402
from lerobot.processor import PolicyProcessorPipeline  # noqa: E402
from lerobot.scripts.lerobot_eval import rollout  # noqa: E402

from vla_sae_ros.policy.batch_engine import BatchEngine  # noqa: E402
from vla_sae_ros.policy.loading import load_policy  # noqa: E402
from vla_sae_ros.resources import resource  # noqa: E402
from vla_sae_ros.sim.suites import find_task  # noqa: E402
from vla_sae_ros.study.batches.playing import results  # noqa: E402
from vla_sae_ros.study.batches.policies import AnsweringPolicy  # noqa: E402
from vla_sae_ros.study.batches.processes import PlayerProcesses  # noqa: E402
from vla_sae_ros.study.experiment.design.plan import PlannedRun  # noqa: E402
from vla_sae_ros.study.experiment.design.settings import Pair, RunSettings  # noqa: E402
from vla_sae_ros.study.experiment.run.processes import Processes  # noqa: E402
from vla_sae_ros.study.experiment.run.simulated_setup import SimulatedSetupSpec  # noqa: E402
from vla_sae_ros.study.experiment.run.worker_pool import made_by  # noqa: E402
from vla_sae_ros.study.rollouts.rollout_job import RolloutJob, environment_of  # noqa: E402
from vla_sae_ros.study.rollouts.trials import Trial  # noqa: E402

POLICY = resource("models", "demo", "policy")
INIT_STATE = 40
EXECUTE_STEPS = 5

Play = Callable[[int, int], int]
"""Plays so many episodes of so many steps at most; returns the steps that were made."""


def main() -> None:
    """Print the table as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environments", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=1, help="episodes per environment")
    parser.add_argument("--steps", type=int, default=40, help="control steps per episode at most")
    parser.add_argument("--budget", type=float, default=380, help="[s] after which no arm begins")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arms = {"lerobot": lerobot, "a policy each": policy_each, "one policy, batches": batched}
    table: dict[str, Any] = {"load average before": os.getloadavg()[0]}
    started = time.monotonic()
    for count in arguments.environments:
        for name, arm in arms.items():
            title = f"{count} environments, {name}"
            if time.monotonic() - started > arguments.budget:
                table[title] = f"left out: {arguments.budget:g} s had passed"
                continue
            row = arm(count, partial(measured, count, arguments.rounds, arguments.steps))
            table[title] = row
            print(f"{time.monotonic() - started:4.0f} s  {title}: {json.dumps(row)}", flush=True)
        compare(table, count)
    table["load average after"] = os.getloadavg()[0]
    print(json.dumps(table, indent=2))


def compare(table: dict[str, Any], count: int) -> None:
    """Add to the rows of so many environments how much faster they are than lerobot's loop."""
    base = table[f"{count} environments, lerobot"]
    for title, row in table.items():
        here = title.startswith(f"{count} environments")
        if here and isinstance(row, dict) and isinstance(base, dict):
            for what in ("episodes per hour of processor time", "episodes per hour by the clock"):
                row[f"{what}, over lerobot's"] = round(row[what] / base[what], 2)


def measured(count: int, rounds: int, steps: int, play: Play) -> dict[str, float]:
    """Return what an arm needed, after an episode each that nobody measures."""
    play(count, 2 * EXECUTE_STEPS)  # builds the scenes
    memory = tree_memory()
    spent, started = tree_seconds(), time.perf_counter()
    made = play(count * rounds, steps)
    spent, seconds = tree_seconds() - spent, time.perf_counter() - started
    memory = max(memory, tree_memory())
    return {
        "processor ms per control step": round(1e3 * spent / made, 1),
        "episodes per hour of processor time": round(3600 * count * rounds / spent, 1),
        "episodes per hour by the clock": round(3600 * count * rounds / seconds, 1),
        "control steps": made,
        "GB": round(memory, 2),
    }


def lerobot(count: int, measure: Callable[[Play], dict[str, float]]) -> dict[str, float]:
    """Return the figures of lerobot's loop."""
    loaded = load_policy(POLICY)
    nothing: PolicyProcessorPipeline = PolicyProcessorPipeline(steps=[])
    task = find_task("libero_object", 0)
    makes = [partial(GymLibero, partial(environment_of, "libero"), task, INIT_STATE)] * count
    envs = gymnasium.vector.AsyncVectorEnv(makes, context="spawn")

    def play(episodes: int, steps: int) -> int:
        envs.set_attr("_max_episode_steps", steps)
        made = 0
        for first in range(0, episodes, count):
            seeds = list(range(first, first + count))
            with torch.no_grad():
                found = rollout(
                    envs,
                    loaded.policy,
                    nothing,
                    nothing,
                    loaded.preprocessor,
                    loaded.postprocessor,
                    seeds=seeds,
                )
            made += found["action"].shape[0] * found["action"].shape[1]
        return made

    row = measure(play)
    envs.close()
    return row


def batched(count: int, measure: Callable[[Play], dict[str, float]]) -> dict[str, float]:
    """Return the figures of --policy-batch."""
    engine = BatchEngine(load_policy(POLICY))
    with PlayerProcesses(
        AnsweringPolicy(engine), count, partial(environment_of, "libero")
    ) as players:

        def play(episodes: int, steps: int) -> int:
            task = find_task("libero_object", 0)
            jobs = [
                RolloutJob(Trial(task, INIT_STATE, seed, max_steps=steps), EXECUTE_STEPS)
                for seed in range(episodes)
            ]
            return sum(played.steps for _, played in results(players, jobs))

        row = measure(play)
        sizes = players.batches
    engine.close()
    return row | {"rows per inference": round(sum(sizes) / len(sizes), 2)}


def policy_each(count: int, measure: Callable[[Play], dict[str, float]]) -> dict[str, float]:
    """Return the figures of workers of which each has a policy."""
    task = find_task("libero_object", 0)
    with tempfile.TemporaryDirectory() as folder:
        pool = Processes(count, SimulatedSetupSpec(POLICY, ()), Path(folder))

        def run(seed: int, steps: int) -> PlannedRun:
            pair = Pair("libero_object", "0", INIT_STATE, seed)
            settings = RunSettings(
                "rollout", "", pair, task.instruction, (seed,), steps, EXECUTE_STEPS, 1.0
            )
            return PlannedRun(settings.run_id, settings, task, ())

        def play(episodes: int, steps: int) -> int:
            runs = [run(seed, steps) for seed in range(episodes)]
            return sum(made.result.outcome.steps for made in made_by(pool, runs))

        row = measure(play)
        pool.close()
    return row


def tree() -> list[Path]:
    """Return the /proc folders of this process and of all below it."""
    found, inside = [], {os.getpid()}
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:  # it has just ended
            continue
        if int(folder.name) in inside or int(parent) in inside:
            inside.add(int(folder.name))
            found.append(folder)
    return found


def tree_seconds() -> float:
    """Return the processor time [s] of the tree."""
    ticks = 0
    for folder in tree():
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def tree_memory() -> float:
    """Return the proportional set size [GB] of the tree."""
    kilobytes = 0
    for folder in tree():
        lines = (folder / "smaps_rollup").read_text().splitlines()
        kilobytes += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1e6


if __name__ == "__main__":
    main()
