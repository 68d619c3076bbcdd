"""The LIBERO and LIBERO-PRO suites that are installed: tasks, instructions, limits, init states."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.sim.environment import LIBERO, FloatArray, TaskSpec
from vla_sae_ros.sim.quiet import prepare_simulator_imports

STEP_LIMITS = {
    "libero_spatial": 220,
    "libero_object": 280,
    "libero_goal": 300,
    "libero_10": 520,
    "libero_90": 400,
}
"""Control steps per episode as the benchmark's evaluations limit them; by longest prefix."""

OTHER_STEP_LIMIT = 400
"""For suites outside the five families, such as libero_study_table."""

PERTURBED_LANGUAGE = ("_lan", "_task")
"""Suites whose instruction is in the problem file; elsewhere it is in the task's file name."""
UNNUMBERED_SCENE = re.compile(r"[A-Z_]*SCENE_")
"""Such names LIBERO cuts as if a number stood there, and an instruction loses its first letter."""


def task_maps() -> dict[str, dict[str, Any]]:
    """Return LIBERO's suites, each with its tasks by name."""
    # Importing LIBERO takes seconds: whoever plans no task of it does not wait for that.
    prepare_simulator_imports()
    from libero.libero.benchmark import task_maps as maps

    return dict(maps)


@cache
def suite_names() -> tuple[str, ...]:
    """Return the suites whose problem files and init states are all installed, sorted.

    Several suites (the `_env` ones among them) are registered by LIBERO-PRO without files.
    """
    return tuple(sorted(name for name in task_maps() if _is_complete(name)))


STANDARD_SUITES = (
    "libero_spatial",
    "libero_object",
    "libero_goal",
    "libero_10",
    "libero_90",
)
"""Those of LIBERO itself; the others are LIBERO-PRO's."""


@cache
def suite_tasks(suite: str) -> tuple[TaskSpec, ...]:
    """Return the tasks of a suite in the benchmark's order and with its numbers.

    Tasks whose file of init states is empty (two of libero_10_with_milk) are left out. Raises
    ConfigurationError naming the installed suites when there is no such suite.
    """
    if suite not in suite_names():
        registered = " (registered without files)" if suite in task_maps() else ""
        near = difflib.get_close_matches(suite, suite_names(), n=3)
        more = len(suite_names()) - len(STANDARD_SUITES)
        raise ConfigurationError(
            complaint(
                f"Unknown suite{registered}",
                suite,
                f"{', '.join(STANDARD_SUITES)} and {more} LIBERO-PRO suites",
                f"Did you mean {' or '.join(near)}?" if near else "",
            )
        )
    tasks = (
        _task_spec(suite, index, entry) for index, entry in enumerate(task_maps()[suite].values())
    )
    return tuple(task for task in tasks if len(_init_states(task.init_states_file)))


def find_task(suite: str, task_index: int) -> TaskSpec:
    """Return one task; raises ConfigurationError naming the suite's tasks when there is none."""
    tasks = {task.task_index: task for task in suite_tasks(suite)}
    if task_index not in tasks:
        listing = "; ".join(f"{task.task_index}: {task.instruction}" for task in tasks.values())
        raise ConfigurationError(complaint(f"Unknown task of {suite}", task_index, listing))
    return tasks[task_index]


def retarget(task: TaskSpec, target: str) -> TaskSpec:
    """Return the same libero_object scene with another object to bring.

    `target` is an object of the scene, for example "butter_1". The instruction is worded
    as the benchmark words it and success is the benchmark's `in` predicate for that object.
    """
    problem = _problem(task.problem_file)
    objects = _objects(task)
    goal = problem["goal_state"]
    if len(goal) != 1 or goal[0][0] != "in" or target not in objects - {"basket_1"}:
        raise ConfigurationError(
            complaint(
                f"Cannot make another object the target of {task.suite} task {task.task_index}",
                target,
                ", ".join(sorted(objects - {"basket_1"})),
            )
        )
    words = target.rsplit("_", 1)[0].replace("_", " ")
    return replace(
        task,
        name=f"pick_up_the_{words.replace(' ', '_')}_and_place_it_in_the_basket",
        instruction=f"pick up the {words} and place it in the basket",
        goal=(("in", target, goal[0][2]),),
    )


def target_and_goal(task: TaskSpec) -> tuple[str, str]:
    """Return the object of the task's first predicate and the one it goes to, "" where none.

    ("butter_1", "basket_1") of ("in", "butter_1", "basket_1_contain_region"). Tasks of other
    environments than LIBERO name no objects.
    """
    if task.env != LIBERO:
        return "", ""
    _, target, *rest = goal_predicates(task)[0]
    goal = re.match(r"[a-z_]+_\d+", rest[0]) if rest else None
    return target, goal.group() if goal else ""


def other_targets(task: TaskSpec) -> tuple[str, ...]:
    """Return the objects that `retarget` accepts besides the task's own.

    Raises ConfigurationError where no other object can be the target.
    """
    own = target_and_goal(task)[0]
    objects = {name for name in _objects(task) if "basket" not in name and name != own}
    retarget(task, own)
    return tuple(sorted(objects))


def _objects(task: TaskSpec) -> set[str]:
    problem = _problem(task.problem_file)
    return {name for names in problem["objects"].values() for name in names}


def goal_predicates(task: TaskSpec) -> tuple[tuple[str, ...], ...]:
    """Return the predicates that make the task a success."""
    if task.goal:
        return task.goal
    problem = _problem(task.problem_file)
    return tuple(tuple(str(word) for word in state) for state in problem["goal_state"])


def load_init_state(task: TaskSpec, init_state: int) -> FloatArray:
    """Return one recorded simulator state (time, qpos, qvel flattened) of the task.

    Raises ConfigurationError naming the range when there is no such init state.
    """
    states = _init_states(task.init_states_file)
    if not 0 <= init_state < len(states):
        raise ConfigurationError(
            complaint(
                f"Unknown init state of {task.suite} task {task.task_index}",
                init_state,
                f"0 to {len(states) - 1}",
            )
        )
    return states[init_state]


@cache
def _init_states(path: Path) -> FloatArray:
    with np.load(path, allow_pickle=False) as archive:
        return np.asarray(archive["states"], dtype=np.float64)


def _task_spec(suite: str, index: int, entry: Any) -> TaskSpec:
    problem_file = _problem_file(entry)
    instruction = entry.language
    if suite.endswith(PERTURBED_LANGUAGE) or UNNUMBERED_SCENE.match(entry.name):
        words = _problem(problem_file)["language_instruction"]
        instruction = words if isinstance(words, str) else " ".join(words)
    return TaskSpec(
        suite,
        index,
        entry.name,
        instruction,
        _step_limit(suite),
        problem_file,
        _init_states_file(entry),
    )


def _step_limit(suite: str) -> int:
    fitting = [family for family in STEP_LIMITS if suite.startswith(family)]
    return STEP_LIMITS[max(fitting, key=len)] if fitting else OTHER_STEP_LIMIT


def _problem_file(entry: Any) -> Path:
    return _folder("bddl_files") / entry.problem_folder / entry.bddl_file


def _init_states_file(entry: Any) -> Path:
    folder = _folder("init_states") / entry.problem_folder
    return folder / f"{entry.init_states_file}.npz"


def _folder(kind: str) -> Path:
    prepare_simulator_imports()
    from libero.libero import get_libero_path

    return Path(get_libero_path(kind)).resolve()


def _problem(file: Path) -> dict[str, Any]:
    """Return what LIBERO reads in a problem file."""
    prepare_simulator_imports()
    from libero.libero.envs.bddl_utils import robosuite_parse_problem

    problem: dict[str, Any] = robosuite_parse_problem(str(file))
    return problem


def _is_complete(suite: str) -> bool:
    entries = task_maps()[suite].values()
    return bool(entries) and all(
        _problem_file(entry).is_file() and _init_states_file(entry).is_file() for entry in entries
    )
