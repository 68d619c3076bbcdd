"""`vla-sae collect`: a policy's activations over episodes, to train autoencoders on."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch

from vla_sae_ros.activations.format import POOLINGS
from vla_sae_ros.activations.source import EpisodeSource, SourceEpisode
from vla_sae_ros.core.contract import load_contract
from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.parameters import MAP_HELP
from vla_sae_ros.core.picture_record import Quality, installed_record, write_picture_record
from vla_sae_ros.core.progress import CommandProgress
from vla_sae_ros.policy.batch_engine import BatchEngine
from vla_sae_ros.policy.checkpoints.feature_match import over, read_map
from vla_sae_ros.policy.checkpoints.loaded import LoadedPolicy
from vla_sae_ros.policy.engine import PolicyEngine
from vla_sae_ros.policy.load_options import add_load_arguments, load_options
from vla_sae_ros.policy.loading import load_policy
from vla_sae_ros.resources import resource
from vla_sae_ros.sim.benchmark import DEFAULT_SUITE, Benchmark, benchmark_named
from vla_sae_ros.sim.environment import LIBERO, Layout
from vla_sae_ros.study.batches.policies import AnsweringPolicy, PolicySpec
from vla_sae_ros.study.batches.side_by_side import players, said_batch
from vla_sae_ros.study.batches.sizes import add_batch_arguments, batch_on
from vla_sae_ros.study.collection import dataset_description
from vla_sae_ros.study.collection.activation_collection import (
    ActivationCollection,
    Tally,
    check_sites,
)
from vla_sae_ros.study.collection.batched_collection import BatchedCollection
from vla_sae_ros.study.collection.simulated_source import (
    PlannedEpisode,
    SimulatedSource,
    plan_collection,
)
from vla_sae_ros.study.rollouts.compiling import (
    add_compile_argument,
    engine_of,
    refuse_batches,
)
from vla_sae_ros.study.rollouts.execute_steps import EXECUTE_STEPS, executed_steps
from vla_sae_ros.study.rollouts.picture_options import add_picture_arguments, told_pictures
from vla_sae_ros.study.rollouts.rollout_job import environment_of
from vla_sae_ros.study.rollouts.simulated import offered_features, own_names
from vla_sae_ros.study.rollouts.trials import Trial, parse_range, parse_tasks

_EPISODES = 40  # per task of a simulation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vla-sae collect`."""
    parser.add_argument(
        "folder", type=Path, help="folder for the activations; an existing one is continued"
    )
    parser.add_argument(
        "--sites", nargs="+", required=True, help="sites to collect, e.g. backbone.1 expert.1"
    )
    parser.add_argument("--policy", type=Path, help="policy; default: the demonstration policy")
    parser.add_argument("--map", default="", metavar="OFFERED=POLICY,...", help=MAP_HELP)
    add_load_arguments(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--env",
        default=LIBERO,
        metavar="NAME",
        help="libero, one of its suites, or an environment of lerobot's with its settings: "
        "metaworld, so101:image_obs=true; default %(default)s",
    )
    source.add_argument("--dataset", type=Path, help="folder of a LeRobotDataset")
    source.add_argument("--bag", type=Path, help="folder of a bag recorded with pictures")
    parser.add_argument(
        "--suite",
        default="",
        help=f"of --env: LIBERO's, LIBERO-PRO's, or what lerobot calls `task`; default "
        f"{DEFAULT_SUITE}, elsewhere the environment's own",
    )
    parser.add_argument(
        "--tasks",
        default="0",
        help='tasks of --env: "all", "0,6" or "0:butter_1"; default %(default)s',
    )
    parser.add_argument(
        "--episodes",
        type=int,
        help="with --env: episodes per task, default 40; with --dataset: number of "
        "episodes from the first on, default all",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of the first episode; each further episode adds one",
    )
    parser.add_argument(
        "--max-steps",
        type=int,
        default=0,
        help="step limit of an episode; default: the suite's own limit",
    )
    parser.add_argument(
        "--every",
        type=int,
        help=f"control steps per inference; default {EXECUTE_STEPS}, or the whole chunk where a "
        "simulation's policy has a shorter one",
    )
    parser.add_argument(
        "--move",
        type=float,
        default=0.0,
        metavar="METRES",
        help="LIBERO only: move every object by up to this distance in x and y",
    )
    parser.add_argument(
        "--shuffle",
        action="store_true",
        help="LIBERO only: exchange the places of all objects except the basket at random",
    )
    add_picture_arguments(parser)
    add_batch_arguments(parser)
    add_compile_argument(parser)
    parser.add_argument(
        "--contract",
        type=Path,
        help="contract file for --bag (default: LIBERO's) or for another --env",
    )
    parser.add_argument(
        "--state-names",
        default="",
        metavar="NAME,...",
        help="names of the numbers in the state, if neither the data set's "
        "info.json nor the environment gives them: x,y,z (of the hand, in "
        "metres) and finger_1,finger_2 become its height, speed and opening; "
        "any other name becomes a variable of that name",
    )
    parser.add_argument("--pooling", choices=POOLINGS, default="mean")
    parser.add_argument(
        "--frame-height",
        type=int,
        default=96,
        help="height of the stored pictures [pixels]; 0 = none",
    )
    parser.add_argument(
        "--keep-observations",
        action="store_true",
        help="also store the complete observations without loss, for `vla-sae "
        "heatmaps`; about 80 kB per picture of 256 x 256",
    )
    parser.add_argument("--device", default="cpu", help="torch device; default %(default)s")
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of torch; default %(default)s"
    )


def run(args: argparse.Namespace) -> int:
    """Collect what is not in the folder yet; return the exit status."""
    for name in ("episodes", "every", "threads"):
        if (value := getattr(args, name)) is not None and value < 1:
            raise ConfigurationError(complaint(f"--{name}", value, "1 or more"))
    for name in ("seed", "max_steps", "frame_height"):
        if (value := getattr(args, name)) < 0:
            option = f"--{name.replace('_', '-')}"
            raise ConfigurationError(complaint(option, value, "0 or more"))
    batch = batch_on(args.policy_batch, args.ray)
    refuse_batches(args.compile, batch, args.ray)
    side_by_side = batch > 1 or bool(args.ray)
    torch.set_num_threads(args.threads)
    policy = args.policy or resource("models", "demo", "policy")
    simulated = args.dataset is None and args.bag is None
    in_libero = simulated and _env_and_suite(args)[0] == LIBERO
    if not 0.0 <= args.move < math.inf:
        raise ConfigurationError(complaint("--move", args.move, "metres, 0 or more"))
    if (args.move or args.shuffle) and not in_libero:
        raise ConfigurationError(
            complaint("--move or --shuffle of what is not LIBERO", args.env, f"{LIBERO} only")
        )
    if in_libero:
        print(told_pictures(policy, args.render_quality, args.allow_other_pictures))
    if side_by_side and not simulated:
        raise ConfigurationError(
            complaint("--policy-batch or --ray without a simulation", batch, "--env")
        )
    loaded = load_policy(policy, args.device, load_options(args))
    every = executed_steps(loaded.chunk_length if simulated else None, args.every, "--every")
    if side_by_side:
        return _run_side_by_side(args, policy, loaded, batch, every)
    engine = engine_of(loaded, args.compile)
    check_sites(args.sites, list(engine.adapter.sites))
    source = _source(args, engine, every)
    try:
        collection = ActivationCollection(
            engine,
            args.folder,
            args.sites,
            args.pooling,
            source,
            args.frame_height,
            args.keep_observations,
            _state_names(args),
        )
        try:
            if in_libero:
                write_picture_record(args.folder, installed_record(args.render_quality))
            if args.compile and collection.waiting():  # with the probes, and for its pictures
                engine.warm_up()
            _collect(collection, collection.run, args.folder)
        finally:
            collection.close()
    finally:
        engine.close()
        source.close()
    return 0


def _run_side_by_side(
    args: argparse.Namespace, policy: Path, loaded: LoadedPolicy, batch: int, every: int
) -> int:
    benchmark, suite = _benchmark(args)
    contract = benchmark.contract(suite)
    names = read_map(args.map, contract.names)
    spec = PolicySpec(policy.absolute(), args.device, args.threads, names, load_options(args))
    engine = BatchEngine(loaded, names)
    engine.observe(contract.offered, names)
    check_sites(args.sites, list(engine.adapter.sites))
    said = said_batch(engine, batch)
    quality: Quality = args.render_quality
    episodes = [PlannedEpisode(trial, every) for trial in _trials(args, benchmark, suite)]
    collection = BatchedCollection(
        engine,
        args.folder,
        args.sites,
        args.pooling,
        episodes,
        contract.fps,
        said,
        args.frame_height,
        args.keep_observations,
        _state_names(args),
    )
    try:
        if benchmark.env == LIBERO:
            write_picture_record(args.folder, installed_record(quality))
        answering = AnsweringPolicy(engine)
        make = partial(environment_of, benchmark.env, suite, str(args.contract or ""), quality)
        most = len(collection.waiting())
        with players(args.ray, spec, answering, make, batch, most) as side:

            def run(episodes: Sequence[Any], finished: Callable[[Any], None]) -> Tally:
                return collection.run(side, episodes, finished)

            _collect(collection, run, args.folder)
    finally:
        collection.close()
        engine.close()
    return 0


class _Waiting(Protocol):
    def waiting(self) -> Sequence[Any]: ...

    def bytes_per_inference(self) -> float | None: ...


def _collect(
    collection: _Waiting,
    run: Callable[[Sequence[Any], Callable[[SourceEpisode], None]], Tally],
    folder: Path,
) -> None:
    episodes = collection.waiting()
    if not episodes:
        print(f"{folder} already contains every planned episode.")
        return
    with CommandProgress() as progress:
        left = sum(one.inferences for one in episodes)
        bar = progress.add_task("collecting", total=len(episodes), note=f"{left} inferences left")

        def finished(episode: SourceEpisode) -> None:
            nonlocal left
            left -= episode.inferences
            each = collection.bytes_per_inference() or 0
            note = f"up to {left} inferences, {left * each / 1e6:.0f} MB to come"
            progress.update(bar, advance=1, description=episode.episode_id, note=note)

        tally = run(episodes, finished)
    print(
        f"{tally.collected} episodes collected in {folder}, {tally.successes} of them successes; "
        f"{tally.skipped} were there already."
    )
    if tally.broken:
        print(f"{len(tally.broken)} episodes were passed over:", file=sys.stderr)
        for words in tally.broken:
            print(f"  {words}", file=sys.stderr)


def _state_names(args: argparse.Namespace) -> tuple[str, ...]:
    """Return what the user says of the state; empty where the source is to be asked."""
    names = tuple(name.strip() for name in args.state_names.split(",")) if args.state_names else ()
    if not all(names):
        raise ConfigurationError(
            complaint("--state-names", args.state_names, "a name for each number, with commas")
        )
    return names


def _source(args: argparse.Namespace, engine: PolicyEngine, every: int) -> EpisodeSource:
    """Return what the arguments name, once the engine takes its frames."""
    # A source's libraries are needed by its user only.
    given = read_map(args.map)
    if args.dataset is not None:
        from vla_sae_ros.study.collection.dataset_source import DatasetSource

        engine.observe(dataset_description.offered_features(args.dataset), given)
        features = sorted(engine.input_features)
        return DatasetSource(args.dataset, features, every, args.episodes)
    if args.bag is not None:
        from vla_sae_ros.study.collection.bag_source import BagSource

        contract = load_contract(args.contract or resource("config", "contracts", "libero.yaml"))
        engine.observe(contract.offered, over(given, contract.names))
        return BagSource(args.bag, contract.observing(engine.input_features))
    benchmark, suite = _benchmark(args)
    trials = _trials(args, benchmark, suite)
    environment = benchmark.environment(suite)
    engine.observe(offered_features(environment), over(given, own_names(environment)))
    return SimulatedSource(environment, trials, every)


def _benchmark(args: argparse.Namespace) -> tuple[Benchmark, str]:
    """Return what the options name, and its suite."""
    env, suite = _env_and_suite(args)
    return benchmark_named(env, args.contract or "", args.render_quality), suite


def _trials(args: argparse.Namespace, benchmark: Benchmark, suite: str) -> list[Trial]:
    return plan_collection(
        parse_tasks(suite, args.tasks, benchmark),
        args.episodes or _EPISODES,
        args.seed,
        args.max_steps,
        parse_range(benchmark.training_states),
        Layout(args.move, shuffle=args.shuffle),
    )


def _env_and_suite(args: argparse.Namespace) -> tuple[str, str]:
    """Return both; a suite of LIBERO in the place of --env is short for --env libero --suite."""
    if args.env.startswith("libero_") and not args.env.startswith("libero_plus"):
        if args.suite:
            raise ConfigurationError(complaint("--env with --suite", args.env, LIBERO))
        return LIBERO, args.env
    return args.env, args.suite
