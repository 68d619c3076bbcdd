"""Does the demonstration policy still succeed with real-time chunking, and at which weight?

    python bench/rtc_success.py [--tasks all] [--init-states 40 41] [--weights 10 5 2]

Plays episodes of libero_object in lockstep, each from scratch and with every chunk continuing the
rest of the one before, at several values of `max_guidance_weight`. A step between chunks is that
from the last executed action to the next one, in standard deviations of an action.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

import numpy as np
import torch
from rtc_delay import LIMITS, boundary_step

from vla_sae_ros.activations.source import PolicyQuery
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.inference import NO_STEERING, Continued
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.resources import resource
from vla_sae_ros.sim.benchmark import benchmark_named
from vla_sae_ros.sim.environment import Layout
from vla_sae_ros.sim.libero import LiberoEnvironment
from vla_sae_ros.study.rollouts.execute_steps import EXECUTE_STEPS
from vla_sae_ros.study.rollouts.playing import play_trial
from vla_sae_ros.study.rollouts.trials import Trial, parse_suites, plan_trials

MAX_STEPS = 200


@dataclass
class Player:
    """Answers the queries of one episode. weight: None infers each chunk from scratch."""

    engine: PolicyEngine
    weight: float | None

    def __post_init__(self) -> None:
        self.chunks: list[np.ndarray] = []

    def answer(self, query: PolicyQuery) -> np.ndarray:
        """Return a chunk (H, A)."""
        previous = None
        if self.weight is not None and self.chunks:
            self.engine.loaded.policy.config.rtc_config.max_guidance_weight = self.weight
            previous = Continued(self.chunks[-1][EXECUTE_STEPS:], 0, 1)
        seed = query.seed, query.step
        inference = self.engine.infer(query.frame, query.instruction, seed, NO_STEERING, previous)
        assert inference.normalised is not None
        self.chunks.append(inference.normalised)
        return inference.actions


def report(
    name: str, trials: Sequence[Trial], engine: PolicyEngine, weight: float | None
) -> tuple[str, list[str]]:
    """Return a row of the table, and the failed episodes."""
    environment = LiberoEnvironment("full", *LIMITS)
    failed, inferences, steps = [], [], []
    for trial in trials:
        player = Player(engine, weight)
        if play_trial(environment, trial, EXECUTE_STEPS, player.answer):
            inferences.append(len(player.chunks))
        else:
            failed.append(f"{trial.task.instruction}, init state {trial.init_state}")
        steps.append(boundary_step(player.chunks, 0))
    environment.close()
    solved = f"{len(trials) - len(failed)} of {len(trials)}"
    took = f"{median(inferences):.0f}" if inferences else "-"
    return f"| {name} | {solved} | {took} | {mean(steps):.2f} |", failed


def main() -> None:
    """Play and print a table in Markdown, and which episodes failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", default="all")
    parser.add_argument("--init-states", type=int, nargs="+", default=[40, 41])
    parser.add_argument("--weights", type=float, nargs="+", default=[10.0, 5.0, 2.0])
    args = parser.parse_args()
    torch.set_num_threads(1)
    engine = PolicyEngine(load_policy(resource("models", "demo", "policy")), [])
    engine.enable_rtc()
    tasks = parse_suites("libero_object", args.tasks, benchmark_named("libero"))
    states = args.init_states
    trials = plan_trials(tasks, states, len(states), layout=Layout(), max_steps=MAX_STEPS)
    print("| max_guidance_weight | solved | inferences until then, median | step between chunks |")
    print("|---|---|---|---|")
    for weight in (None, *args.weights):
        name = "from scratch" if weight is None else f"{weight:g}"
        row, failed = report(name, trials, engine, weight)
        print(row, *(f"    failed: {one}" for one in failed), sep="\n", flush=True)


if __name__ == "__main__":
    main()
