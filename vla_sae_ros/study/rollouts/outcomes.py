"""What came of evaluated episodes: one JSON line each, and a table with confidence intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.journal import append_to_journal, read_journal
from vla_sae_ros.core.picture_record import Quality
from vla_sae_ros.sim.environment import LIBERO
from vla_sae_ros.sim.suites import target_and_goal
from vla_sae_ros.study.rollouts.trials import Trial


@dataclass(frozen=True)
class EpisodeOutcome:
    """One episode; the fields before `success` say which it was."""

    policy: str
    """Content id of the policy, or "expert"."""
    execute_steps: int
    suite: str
    task_index: int
    instruction: str
    asked_for_another: bool
    target: str
    init_state: int
    seed: int
    moved_m: float
    exchanged: tuple[str, str] | None
    success: bool = False
    steps: int = 0
    in_basket: tuple[str, ...] = ()
    """Objects over or in the basket at the end: what was brought when the wrong one was."""
    shuffled: bool = False
    """Which episode it was, too: whether all objects had changed places."""
    policy_batch: int = 1
    """And of how many environments the policy inferred for at once, which rounds differently."""
    render_quality: Quality = "full"
    """And of its pictures."""
    env: str = LIBERO
    """And where the suite is from."""
    max_steps: int = 0
    """And after how many steps it was broken off; 0: the benchmark's own limit."""
    compiled: bool = False
    """And whether torch.compile made the policy's graph, which rounds differently."""
    unnorm_key: str = ""
    """And the data set whose statistics turned OpenVLA's tokens into actions."""
    names: tuple[tuple[str, str], ...] = ()
    """And the pairs of --map, and of the environment's contract: which picture was which input."""

    @property
    def brought_another(self) -> bool:
        return bool(set(self.in_basket) - {self.target})


def to_come(
    trial: Trial,
    policy: str,
    execute_steps: int,
    render_quality: Quality = "full",
    policy_batch: int = 1,
    compiled: bool = False,
    unnorm_key: str = "",
    names: Mapping[str, str] = {},
) -> EpisodeOutcome:
    """Return the outcome of a trial that has not been run, to be filled in."""
    task, layout = trial.task, trial.layout
    return EpisodeOutcome(
        policy,
        execute_steps,
        task.suite,
        task.task_index,
        task.instruction,
        trial.asked_for_another,
        target_and_goal(task)[0],
        trial.init_state,
        trial.seed,
        layout.move_objects_m,
        layout.exchange,
        shuffled=layout.shuffle,
        policy_batch=policy_batch,
        render_quality=render_quality,
        env=task.env,
        max_steps=trial.max_steps or 0,
        compiled=compiled,
        unnorm_key=unnorm_key,
        names=tuple(sorted(names.items())),
    )


class OutcomeFile:
    """Outcomes as JSON lines, to which an evaluation adds and from which it goes on.

    Raises ConfigurationError when the file holds anything else than outcomes. A last line that
    an interruption cut short is left out, and its episode run again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        content = read_journal(
            path,
            _parsed,
            "It was not written by `vla-sae rollout --out`. Name another file.",
            ConfigurationError,
        )
        self.outcomes = list(content.entries)
        self._by_plan = {_plan(outcome): outcome for outcome in self.outcomes}

    def done(self, planned: EpisodeOutcome) -> EpisodeOutcome | None:
        """Return the outcome of the same episode, if it is there."""
        return self._by_plan.get(_plan(planned))

    def add(self, outcome: EpisodeOutcome) -> None:
        """Append one outcome."""
        append_to_journal(self._path, asdict(outcome))
        self.outcomes.append(outcome)
        self._by_plan[_plan(outcome)] = outcome


def _parsed(fields: dict[str, Any]) -> EpisodeOutcome:
    exchanged = fields.pop("exchanged")
    basket = tuple(fields.pop("in_basket"))
    names = tuple((one, other) for one, other in fields.pop("names", ()))
    return EpisodeOutcome(
        **fields, exchanged=tuple(exchanged) if exchanged else None, in_basket=basket, names=names
    )


def _plan(outcome: EpisodeOutcome) -> tuple[object, ...]:
    """Return what tells an episode from every other."""
    return (
        outcome.policy,
        outcome.execute_steps,
        outcome.suite,
        outcome.task_index,
        outcome.instruction,
        outcome.init_state,
        outcome.seed,
        outcome.moved_m,
        outcome.exchanged,
        outcome.shuffled,
        outcome.policy_batch,
        outcome.render_quality,
        outcome.env,
        outcome.max_steps,
        outcome.compiled,
        outcome.unnorm_key,
        outcome.names,
    )


def table(outcomes: Sequence[EpisodeOutcome]) -> str:
    """Return one line per task: successes, rate, 95 % Wilson interval, median steps.

    The last column counts episodes at whose end another object lay in the basket. Several suites
    get a line each over their tasks.
    """
    lines = [
        f"{'task':<62}{'solved':>9}{'rate':>7}   95 % interval   median steps   brought another"
    ]
    suites: dict[str, dict[str, list[EpisodeOutcome]]] = {}
    for outcome in outcomes:
        what = "another object's instruction" if outcome.asked_for_another else outcome.instruction
        key = f"{outcome.suite} {outcome.task_index}: {what}"
        suites.setdefault(outcome.suite, {}).setdefault(key, []).append(outcome)
    for suite, groups in suites.items():
        lines += [_line(key, group) for key, group in groups.items()]
        if len(groups) > 1 and len(suites) > 1:
            lines.append(_line(f"{suite}, all", [*chain(*groups.values())]))
    if len(suites) > 1 or any(len(groups) > 1 for groups in suites.values()):
        lines.append(_line("all", list(outcomes)))
    return "\n".join(lines)


def _line(key: str, group: Sequence[EpisodeOutcome]) -> str:
    solved = [outcome.steps for outcome in group if outcome.success]
    low, high = wilson_interval(len(solved), len(group))
    median = str(sorted(solved)[len(solved) // 2]) if solved else "-"
    rate = len(solved) / len(group)
    another = sum(outcome.brought_another for outcome in group)
    name = key if len(key) <= 61 else key[:60] + "…"
    return (
        f"{name:<62}{len(solved):>4} /{len(group):>3}{rate:>7.0%}"
        f"   {low:>4.0%} to {high:>4.0%}   {median:>10}   {another:>13}"
    )


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a success rate; ValueError for what is no rate."""
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} successes of {trials} trials make no proportion")
    interval = binomtest(successes, trials).proportion_ci(0.95, "wilson")
    return float(interval.low), float(interval.high)
