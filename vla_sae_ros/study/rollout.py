"""Closed-loop evaluation of a policy in LIBERO, with confidence intervals."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.sim.environment import FloatArray, Layout, TaskSpec
from vla_sae_ros.sim.libero import LiberoEnvironment
from vla_sae_ros.sim.suites import find_task, goal_predicates, retarget, suite_tasks
from vla_sae_ros.study.intervals import wilson_interval
from vla_sae_ros.study.policy_runner import EXECUTE_STEPS, PolicyRunner

EVALUATION_SEED = 1_000_000
"""Seeds from here on are never used to make demonstrations."""
IN_BASKET_M = 0.09


@dataclass(frozen=True)
class Trial:
    """One episode to run."""

    task: TaskSpec
    init_state: int
    seed: int
    layout: Layout


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    suite: str
    task_index: int
    instruction: str
    init_state: int
    seed: int
    success: bool
    steps: int
    in_basket: tuple[str, ...]
    """Objects over or in the basket at the end: what was brought when the wrong one was."""


def plan_trials(
    tasks: Iterable[TaskSpec], init_states: Sequence[int], episodes: int, layout: Layout
) -> list[Trial]:
    """Return `episodes` trials per task, going round the init states, each with its own seed."""
    if not init_states:
        raise ConfigurationError(complaint("No init states to evaluate on", init_states, "40-49"))
    return [
        Trial(task, init_states[number % len(init_states)], EVALUATION_SEED + number, layout)
        for task in tasks
        for number in range(episodes)
    ]


def run_trial(environment: LiberoEnvironment, runner: PolicyRunner, trial: Trial) -> Outcome:
    """Run one episode to success or the benchmark's step limit."""
    task = trial.task
    observation = environment.reset(task, trial.init_state, trial.seed, trial.layout)
    runner.start(task.instruction, trial.seed)
    success, steps = False, 0
    while not success and steps < task.max_steps:
        result = environment.step(runner.act(observation))
        observation, success, steps = result.observation, result.success, steps + 1
    return Outcome(
        task.suite, task.task_index, task.instruction, trial.init_state, trial.seed, success,
        steps, objects_in_basket(environment.object_positions()),
    )


def objects_in_basket(positions: dict[str, FloatArray]) -> tuple[str, ...]:
    """Return the objects within 9 cm of the basket's centre in the plane, by name."""
    if "basket_1" not in positions:
        return ()
    basket = positions["basket_1"]
    return tuple(
        name
        for name, position in sorted(positions.items())
        if name != "basket_1" and abs(position[:2] - basket[:2]).max() < IN_BASKET_M
    )


def evaluate(
    folder: Path, trials: Sequence[Trial], execute_steps: int = EXECUTE_STEPS
) -> list[Outcome]:
    """Run every trial with the policy in the folder, task after task."""
    policy = load_policy(folder)
    environment = LiberoEnvironment()
    runner = PolicyRunner(policy, environment, execute_steps)
    outcomes = []
    try:
        with tqdm(trials, desc="rollouts", unit="episode") as bar:
            for trial in bar:
                outcomes.append(run_trial(environment, runner, trial))
                solved = sum(outcome.success for outcome in outcomes)
                bar.set_postfix(solved=f"{solved}/{len(outcomes)}")
    finally:
        environment.close()
    return outcomes


def table(outcomes: Sequence[Outcome]) -> str:
    """Return one line per task: successes, rate, 95 % Wilson interval, median steps."""
    lines = [f"{'task':<62}{'solved':>9}{'rate':>7}   95 % interval   median steps"]
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        key = f"{outcome.suite} {outcome.task_index}: {outcome.instruction}"
        groups.setdefault(key, []).append(outcome)
    for key, group in groups.items():
        lines.append(_line(key, group))
    if len(groups) > 1:
        lines.append(_line("all", list(outcomes)))
    return "\n".join(lines)


def _line(key: str, group: Sequence[Outcome]) -> str:
    solved = [outcome.steps for outcome in group if outcome.success]
    low, high = wilson_interval(len(solved), len(group))
    median = str(sorted(solved)[len(solved) // 2]) if solved else "-"
    rate = len(solved) / len(group)
    return (f"{key:<62}{len(solved):>4} /{len(group):>3}{rate:>7.0%}"
            f"   {low:>4.0%} to {high:>4.0%}   {median:>10}")


def parse_tasks(suite: str, text: str) -> list[TaskSpec]:
    """Parse "all", "0,6" or "0,0:butter_1" (another object to bring in task 0's scene)."""
    if text == "all":
        return list(suite_tasks(suite))
    tasks = []
    for part in text.split(","):
        index, _, target = part.partition(":")
        if not index.strip().isdigit():
            raise ConfigurationError(
                complaint("A task cannot be read", part, "all, <index> or <index>:<object>")
            )
        task = find_task(suite, int(index))
        own = goal_predicates(task)[0][1]
        tasks.append(task if target in ("", own) else retarget(task, target))
    return tasks


def parse_range(text: str) -> list[int]:
    """Parse "40-49" or "40,42"."""
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise ConfigurationError(complaint("A range cannot be read", text, "40-49 or 40,42"))
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `vla-sae rollout`."""
    parser.add_argument("--policy", type=Path, required=True, help="policy folder")
    parser.add_argument("--suite", default="libero_object")
    parser.add_argument("--tasks", default="all", help='"all", "0,6" or "0:butter_1"')
    parser.add_argument("--episodes", type=int, default=10, help="per task")
    parser.add_argument("--init-states", default="40-49")
    parser.add_argument("--move", type=float, default=0.0, metavar="METRES",
                        help="move every object by up to this far in x and y")
    parser.add_argument("--exchange", metavar="OBJECT,OBJECT", help="exchange two objects' places")
    parser.add_argument("--execute-steps", type=int, default=EXECUTE_STEPS)
    parser.add_argument("--out", type=Path, help="write the outcomes here as JSON lines")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print the table."""
    exchange = None
    if args.exchange:
        first, _, second = args.exchange.partition(",")
        exchange = (first, second)
    tasks = parse_tasks(args.suite, args.tasks)
    trials = plan_trials(
        tasks, parse_range(args.init_states), args.episodes, Layout(args.move, exchange)
    )
    outcomes = evaluate(args.policy, trials, args.execute_steps)
    if args.out:
        lines = [json.dumps(asdict(outcome)) for outcome in outcomes]
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(table(outcomes))
    return 0


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser(description=__doc__)
    add_arguments(PARSER)
    raise SystemExit(run(PARSER.parse_args()))
