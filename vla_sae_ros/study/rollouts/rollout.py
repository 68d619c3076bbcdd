"""Closed-loop evaluation of a policy, in LIBERO or elsewhere, with confidence intervals."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.parameters import MAP_HELP
from vla_sae_ros.core.picture_record import Quality
from vla_sae_ros.policy.checkpoints.feature_match import over, read_map
from vla_sae_ros.policy.load_options import (
    DEFAULT_OPTIONS,
    LoadOptions,
    add_load_arguments,
    load_options,
)
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.sim.benchmark import DEFAULT_SUITE, Benchmark, benchmark_named
from vla_sae_ros.sim.environment import LIBERO, Environment, FloatArray, Layout, Observation
from vla_sae_ros.sim.expert import check_task, expert_action
from vla_sae_ros.sim.libero import LiberoEnvironment
from vla_sae_ros.sim.own_contract import instruction_of
from vla_sae_ros.sim.splits import EVALUATION_SEED, EVALUATION_STATES_TEXT
from vla_sae_ros.sim.suites import target_and_goal
from vla_sae_ros.study.batches.jobs import Players
from vla_sae_ros.study.batches.playing import results
from vla_sae_ros.study.batches.policies import PolicySpec
from vla_sae_ros.study.batches.side_by_side import players, said_batch
from vla_sae_ros.study.batches.sizes import add_batch_arguments, batch_on
from vla_sae_ros.study.rollouts.compiling import (
    add_compile_argument,
    engine_of,
    refuse_batches,
)
from vla_sae_ros.study.rollouts.execute_steps import EXECUTE_STEPS, executed_steps
from vla_sae_ros.study.rollouts.outcomes import EpisodeOutcome, OutcomeFile, table, to_come
from vla_sae_ros.study.rollouts.picture_options import add_picture_arguments, told_pictures
from vla_sae_ros.study.rollouts.policy_runner import PolicyRunner
from vla_sae_ros.study.rollouts.rollout_job import RolloutJob, environment_of
from vla_sae_ros.study.rollouts.simulated import objects_in_basket, own_names
from vla_sae_ros.study.rollouts.trials import Trial, parse_range, parse_suites, plan_trials

EXPERT = "expert"
"""In the place of a policy's folder: the scripted teacher, which sees the simulator's state."""

Act = Callable[[Observation], FloatArray]


@dataclass(frozen=True)
class Actor:
    """Who acts: `begin` starts an episode and returns what answers its observations.

    prepare: called once before the first episode that is played; compiling takes minutes.
    """

    policy_id: str
    execute_steps: int
    begin: Callable[[Trial], Act]
    render_quality: Quality = "full"
    compiled: bool = False
    unnorm_key: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], object] = lambda: None


def policy_actor(
    folder: Path,
    environment: Environment,
    execute_steps: int | None,
    render_quality: Quality = "full",
    names: Mapping[str, str] = {},
    compiled: bool = False,
    options: LoadOptions = DEFAULT_OPTIONS,
) -> Actor:
    """Load a policy to drive with; `names` as in `--map`; compile it if that is wanted."""
    engine = engine_of(load_policy(folder, options=options), compiled)
    runner = PolicyRunner(engine, environment, execute_steps, names)

    def begin(trial: Trial) -> Act:
        runner.start(instruction_of(environment, trial.task.instruction), trial.seed)
        return runner.act

    actor = Actor(
        engine.policy_id,
        runner.execute_steps,
        begin,
        render_quality,
        compiled,
        engine.loaded.unnorm_key,
        over(names, own_names(environment)),
    )
    return replace(actor, prepare=engine.warm_up) if compiled else actor


def expert_actor(environment: LiberoEnvironment) -> Actor:
    """Return the scripted expert, which answers every step."""

    def begin(trial: Trial) -> Act:
        target, goal = target_and_goal(trial.task)
        return lambda observation: expert_action(environment.privileged(observation), target, goal)

    return Actor(EXPERT, 1, begin)


def run_trial(environment: Environment, actor: Actor, trial: Trial) -> EpisodeOutcome:
    """Run one episode to success or the benchmark's step limit."""
    observation = environment.reset(trial.task, trial.init_state, trial.seed, trial.layout)
    act = actor.begin(trial)
    success, ended, steps = False, False, 0
    while not success and not ended and steps < trial.step_limit:
        result = environment.step(act(observation))
        observation, success, ended = result.observation, result.success, result.ended
        steps += 1
    return replace(
        _planned(actor, trial),
        success=success,
        steps=steps,
        in_basket=objects_in_basket(environment.object_positions()),
    )


def _planned(actor: Actor, trial: Trial) -> EpisodeOutcome:
    return to_come(
        trial,
        actor.policy_id,
        actor.execute_steps,
        actor.render_quality,
        compiled=actor.compiled,
        unnorm_key=actor.unnorm_key,
        names=actor.names,
    )


def distinct(trials: Sequence[Trial]) -> list[Trial]:
    """Leave out trials that an earlier one is again: tasks of one scene may ask for the same."""
    first: dict[EpisodeOutcome, Trial] = {}
    for trial in trials:
        first.setdefault(to_come(trial, "", 0), trial)
    return list(first.values())


def evaluate(
    environment: Environment,
    actor: Actor,
    trials: Sequence[Trial],
    file: OutcomeFile | None = None,
) -> list[EpisodeOutcome]:
    """Run every trial that the file does not hold yet; returns all, in the order of the trials."""
    done = [file.done(_planned(actor, trial)) if file else None for trial in trials]
    if None in done:
        actor.prepare()  # its time is no episode's
    outcomes = []
    with tqdm(trials, desc="rollouts", unit="episode") as bar:
        for trial, outcome in zip(bar, done, strict=True):
            if outcome is None:
                outcome = run_trial(environment, actor, trial)
                if file:
                    file.add(outcome)
            outcomes.append(outcome)
            bar.set_postfix(solved=f"{sum(one.success for one in outcomes)}/{len(outcomes)}")
    return outcomes


def evaluate_batched(
    players: Players,
    planned: Sequence[tuple[Trial, EpisodeOutcome]],
    file: OutcomeFile | None = None,
) -> list[EpisodeOutcome]:
    """Run, side by side, every planned trial that the file does not hold; returns all outcomes."""
    done = {id(trial): file.done(plan) for trial, plan in planned} if file else {}
    found = {key: outcome for key, outcome in done.items() if outcome is not None}
    plans = {id(trial): plan for trial, plan in planned}
    missing = [
        RolloutJob(trial, plan.execute_steps) for trial, plan in planned if id(trial) not in found
    ]
    with tqdm(total=len(planned), initial=len(found), desc="rollouts", unit="episode") as bar:
        for job, played in results(players, missing):
            outcome = replace(plans[id(job.trial)], **vars(played))
            if file:
                file.add(outcome)
            found[id(job.trial)] = outcome
            bar.update()
            bar.set_postfix(solved=f"{sum(one.success for one in found.values())}/{len(found)}")
    return [found[id(trial)] for trial, _ in planned]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `vla-sae rollout`."""
    parser.add_argument(
        "--policy", required=True, help='policy folder, or "expert" for the scripted teacher'
    )
    add_environment_arguments(parser)
    parser.add_argument(
        "--suite",
        default="",
        help="one or several, with commas: LIBERO's, LIBERO-PRO's, or what lerobot calls `task`; "
        f"default {DEFAULT_SUITE}, elsewhere the environment's own",
    )
    parser.add_argument("--tasks", default="all", help='tasks: "all", "0,6" or "0:butter_1"')
    parser.add_argument("--episodes", type=int, default=10, help="episodes per task")
    parser.add_argument(
        "--init-states",
        help=f"default {EVALUATION_STATES_TEXT} in LIBERO, 0 where the seed decides the scene",
    )
    parser.add_argument(
        "--first-seed",
        type=int,
        default=EVALUATION_SEED,
        metavar="N",
        help="seed of the layouts and of the policy's noise; each further episode "
        "adds one; default %(default)s; seeds below 1000000 may have been used "
        "for training",
    )
    parser.add_argument("--max-steps", type=int, default=0, help="default: the suite's own limit")
    parser.add_argument("--map", default="", metavar="OFFERED=POLICY,...", help=MAP_HELP)
    parser.add_argument(
        "--move",
        type=float,
        default=0.0,
        metavar="METRES",
        help="move every object by up to this distance in x and y",
    )
    parser.add_argument(
        "--exchange",
        nargs="?",
        const="",
        metavar="OBJECT,OBJECT",
        help="swap two objects; without names: swap the task's object with each of "
        "the other objects in turn",
    )
    parser.add_argument(
        "--shuffle",
        action="store_true",
        help="exchange the places of all objects except the basket at random",
    )
    parser.add_argument(
        "--instruction-swap",
        action="store_true",
        help="ask for each of the scene's other objects in turn; success means that "
        "this object was brought",
    )
    parser.add_argument(
        "--execute-steps",
        type=int,
        help=f"actions of a chunk that are executed; default {EXECUTE_STEPS}, or the whole chunk "
        "where it is shorter",
    )
    add_load_arguments(parser)
    add_batch_arguments(parser)
    add_compile_argument(parser)
    add_picture_arguments(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="file for the outcomes as JSON lines; episodes already in it are not repeated",
    )


def add_environment_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --env and --contract."""
    parser.add_argument(
        "--env",
        default=LIBERO,
        metavar="NAME",
        help="libero, or an environment of lerobot's with its settings: metaworld, "
        "so101:image_obs=true; default %(default)s",
    )
    parser.add_argument(
        "--contract",
        type=Path,
        metavar="FILE",
        help="with another --env: contract file; default: the environment's own (vla-sae contract)",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate and print the table."""
    if args.episodes < 1:
        raise ConfigurationError(complaint("Too few episodes", args.episodes, "1 or more"))
    benchmark = benchmark_named(args.env, args.contract or "", args.render_quality)
    _refuse_what_only_libero_has(args, benchmark)
    layout = Layout(args.move, _pair(args.exchange), args.shuffle)
    planned = plan_trials(
        parse_suites(args.suite, args.tasks, benchmark),
        parse_range(args.init_states or benchmark.init_states),
        args.episodes,
        layout,
        args.exchange == "",
        args.instruction_swap,
        args.first_seed,
        args.max_steps,
    )
    trials = distinct(planned)
    if len(trials) < len(planned):
        print(
            f"{len(planned) - len(trials)} of {len(planned)} episodes would be another one "
            f"again: {len(trials)} are run. More --episodes give more."
        )
    if args.policy == EXPERT:
        for trial in trials:
            check_task(trial.task)
    shown_to = None if args.policy == EXPERT else Path(args.policy)
    if benchmark.env == LIBERO:
        print(told_pictures(shown_to, args.render_quality, args.allow_other_pictures))
    file = OutcomeFile(args.out) if args.out else None
    count = batch_on(args.policy_batch, args.ray)
    refuse_batches(args.compile, count, args.ray)
    if args.compile and args.policy == EXPERT:
        raise ConfigurationError(
            complaint("--compile with the expert, which is not a policy", EXPERT, "a policy")
        )
    if count > 1 or args.ray:
        print(table(_run_side_by_side(args, trials, file, count)))
        return 0
    with _opened(benchmark.environment(trials[0].task.suite)) as environment:
        actor = (
            expert_actor(environment)
            if isinstance(environment, LiberoEnvironment) and args.policy == EXPERT
            else policy_actor(
                Path(args.policy),
                environment,
                args.execute_steps,
                args.render_quality,
                read_map(args.map),
                args.compile,
                load_options(args),
            )
        )
        print(table(evaluate(environment, actor, trials, file)))
    return 0


def _run_side_by_side(
    args: argparse.Namespace, trials: Sequence[Trial], file: OutcomeFile | None, count: int
) -> list[EpisodeOutcome]:
    if args.policy == EXPERT:
        raise ConfigurationError(
            complaint(
                "--policy-batch or --ray with the expert, which is not a policy", count, "neither"
            )
        )
    suite = trials[0].task.suite
    contract = benchmark_named(args.env, args.contract or "", args.render_quality).contract(suite)
    names = read_map(args.map, contract.names)
    spec = PolicySpec(Path(args.policy).absolute(), names=names, options=load_options(args))
    answering = spec.open()
    answering.engine.observe(contract.offered, names)
    batch = said_batch(answering.engine, count)
    engine, quality = answering.engine, args.render_quality
    steps = executed_steps(engine.loaded.chunk_length, args.execute_steps, "--execute-steps")
    key = engine.loaded.unnorm_key
    planned = [
        (trial, to_come(trial, engine.policy_id, steps, quality, batch, False, key, names))
        for trial in trials
    ]
    make = partial(environment_of, args.env, suite, str(args.contract or ""), quality)
    with players(args.ray, spec, answering, make, count, len(trials)) as side:
        return evaluate_batched(side, planned, file)


def _pair(text: str | None) -> tuple[str, str] | None:
    if not text:
        return None
    first, _, second = text.partition(",")
    return first.strip(), second.strip()


def _refuse_what_only_libero_has(args: argparse.Namespace, benchmark: Benchmark) -> None:
    options = {
        "--policy expert": args.policy == EXPERT,
        "--move": args.move > 0,
        "--exchange": args.exchange is not None,
        "--shuffle": args.shuffle,
        "--instruction-swap": args.instruction_swap,
    }
    wanted = [option for option, given in options.items() if given]
    if wanted and benchmark.env != LIBERO:
        raise ConfigurationError(
            complaint(f"{', '.join(wanted)} with --env", benchmark.env, f"{LIBERO} only")
        )


@contextmanager
def _opened(environment: Environment) -> Iterator[Environment]:
    try:
        yield environment
    finally:
        environment.close()
