"""Which episodes an evaluation runs: tasks, held-out init states and seeds, moved objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sim.benchmark import Benchmark, LiberoBenchmark
from vla_sae_ros.sim.environment import LIBERO, Layout, TaskSpec
from vla_sae_ros.sim.splits import EVALUATION_SEED, EVALUATION_STATES_TEXT
from vla_sae_ros.sim.suites import other_targets, retarget, target_and_goal


@dataclass(frozen=True)
class Trial:
    """One episode to run; its seed tells it from every other of a plan."""

    task: TaskSpec
    init_state: int
    seed: int
    layout: Layout = field(default_factory=Layout)
    asked_for_another: bool = False
    """The instruction names another object of the scene than the benchmark's."""
    max_steps: int | None = None
    """Control steps, where fewer are wanted than the benchmark allows."""

    @property
    def step_limit(self) -> int:
        """Return how many control steps the episode has at most."""
        return step_limit(self.task, self.max_steps)


def step_limit(task: TaskSpec, wanted: int | None) -> int:
    """Return the wanted control steps, at most the benchmark's; 0 or None asks for all of them."""
    return min(wanted or task.max_steps, task.max_steps)


def plan_trials(
    tasks: Iterable[TaskSpec],
    init_states: Sequence[int],
    episodes: int,
    layout: Layout,
    exchange: bool = False,
    swap_instruction: bool = False,
    first_seed: int = EVALUATION_SEED,
    max_steps: int = 0,
) -> list[Trial]:
    """Return `episodes` trials per task, going round the init states, seeds from first_seed on.

    Both switches pair the task's object with the scene's others in turn: `exchange` lets the two
    change places, `swap_instruction` asks for the other one, whose predicate then decides.
    `max_steps` shortens episodes; 0: the benchmark's own limit. Raises ConfigurationError where a
    scene has no such others.
    """
    if first_seed < 0:
        raise ConfigurationError(complaint("A seed cannot be used", first_seed, "0 or more"))
    if max_steps < 0:
        raise ConfigurationError(
            complaint("--max-steps", max_steps, "1 or more, or 0 for the benchmark's own limit")
        )
    if not init_states:
        raise ConfigurationError(
            complaint("No init states to evaluate on", init_states, EVALUATION_STATES_TEXT)
        )
    trials = []
    for task in tasks:
        others = other_targets(task) if exchange or swap_instruction else ()
        for number in range(episodes):
            trial = Trial(
                task,
                init_states[number % len(init_states)],
                first_seed + number,
                layout,
                max_steps=max_steps or None,
            )
            if others:
                other = others[number % len(others)]
                trial = _paired(trial, other, exchange, swap_instruction)
            trials.append(trial)
    return trials


def _paired(trial: Trial, other: str, exchange: bool, swap_instruction: bool) -> Trial:
    if exchange:
        pair = (target_and_goal(trial.task)[0], other)
        trial = replace(trial, layout=replace(trial.layout, exchange=pair))
    if swap_instruction:
        trial = replace(trial, task=retarget(trial.task, other), asked_for_another=True)
    return trial


def parse_suites(
    suites: str, tasks: str, benchmark: Benchmark = LiberoBenchmark()
) -> list[TaskSpec]:
    """Parse the tasks of one suite or of several ("libero_object_swap,libero_object_lan")."""
    names = [suite.strip() for suite in suites.split(",")]
    if len(names) > 1 and not all(names):
        raise ConfigurationError(complaint("Suites cannot be read", suites, "names, with commas"))
    return [task for suite in names for task in parse_tasks(suite, tasks, benchmark)]


def parse_tasks(suite: str, text: str, benchmark: Benchmark = LiberoBenchmark()) -> list[TaskSpec]:
    """Parse "all", "0,6" or, in LIBERO, "0,0:butter_1" (another object to bring in that scene).

    An empty suite is the benchmark's default.
    """
    if text == "all":
        return list(benchmark.tasks(suite))
    tasks = []
    for part in text.split(","):
        index, _, target = part.partition(":")
        if not index.strip().isdecimal() or (target and benchmark.env != LIBERO):
            allowed = "all, <index> or <index>:<object>" if benchmark.env == LIBERO else "all, 0,6"
            raise ConfigurationError(complaint("A task cannot be read", part, allowed))
        task = benchmark.find_task(suite, int(index))
        asked = "" if target == "" or target == target_and_goal(task)[0] else target
        tasks.append(retarget(task, asked) if asked else task)
    return tasks


def parse_range(text: str) -> list[int]:
    """Parse "40-49" or "40,42"."""
    numbers: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        is_range = first.isdecimal() and (last or first).isdecimal()
        if not is_range or int(last or first) < int(first):
            raise ConfigurationError(complaint("A range cannot be read", text, "40-49 or 40,42"))
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers
