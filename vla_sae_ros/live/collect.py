"""`vla-sae collect`: activations from lockstep episodes of the live loop, to train SAEs on."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.live.driving import drive
from vla_sae_ros.nodes.client import Client
from vla_sae_ros.study.activation_format import read_episodes
from vla_sae_ros.system import System, simulation_system

TRAINING_INIT_STATES = range(40)  # 40 to 49 are for evaluation


@dataclass(frozen=True)
class PlannedEpisode:
    """One episode to collect from; its seed tells it from every other."""

    task: int
    init_state: int
    seed: int
    instruction: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vla-sae collect`."""
    parser.add_argument(
        "folder", type=Path, help="of the activations; an existing one is continued"
    )
    parser.add_argument("--sites", nargs="+", required=True, help="e.g. backbone.1 expert.1")
    parser.add_argument(
        "--policy", default="", help="policy folder; default: the demonstration policy"
    )
    parser.add_argument("--suite", default="libero_object")
    parser.add_argument("--tasks", type=int, nargs="+", default=[0])
    parser.add_argument("--instructions", nargs="+", default=[""], help="default: the tasks' own")
    parser.add_argument("--episodes", type=int, default=40, help="per task and instruction")
    parser.add_argument("--seed", type=int, default=0, help="of the first episode; counts up")
    parser.add_argument("--pooling", choices=("mean", "token"), default="mean")
    parser.add_argument("--max-steps", type=int, default=0, help="default: the suite's own limit")
    parser.add_argument("--every", type=int, default=1, help="control ticks per inference")


def run(args: argparse.Namespace) -> int:
    """Collect what is not in the folder yet; return the exit status."""
    collected = _collected(args.folder)
    planned = [episode for episode in plan(args) if episode.seed not in collected]
    if not planned:
        print(f"{args.folder} holds every planned episode already.")
        return 0
    system = _system(args)
    with _progress() as progress:
        bar = progress.add_task("starting", total=len(planned))

        def script(client: Client) -> int:
            client.wait_until_ready()
            succeeded = 0
            for episode in planned:
                progress.update(bar, description=f"task {episode.task}, state {episode.init_state}")
                result = client.run_episode(
                    args.suite,
                    episode.task,
                    episode.init_state,
                    episode.seed,
                    episode.instruction,
                    args.max_steps,
                )
                succeeded += result.success
                progress.advance(bar)
            return succeeded

        succeeded = drive(
            system, args.folder.with_name(args.folder.name + "-log"), "collect", script
        )
    print(f"{len(planned)} episodes collected in {args.folder}, {succeeded} of them successes.")
    return 0


def plan(args: argparse.Namespace) -> list[PlannedEpisode]:
    """Return every episode, in an order that is the same each time.

    Raises:
        ConfigurationError: a number that cannot be.
    """
    for name in ("episodes", "every"):
        if getattr(args, name) < 1:
            raise ConfigurationError(complaint(f"--{name}", getattr(args, name), "1 or more"))
    return [
        PlannedEpisode(
            task, TRAINING_INIT_STATES[number % len(TRAINING_INIT_STATES)], seed, instruction
        )
        for seed, (number, task, instruction) in enumerate(_combinations(args), start=args.seed)
    ]


def _combinations(args: argparse.Namespace) -> Iterator[tuple[int, int, str]]:
    for number in range(args.episodes):
        for task in args.tasks:
            for instruction in args.instructions:
                yield number, task, instruction


def _collected(folder: Path) -> set[int | None]:
    """Return the seeds of the episodes that the folder holds whole."""
    return {episode.seed for episode in read_episodes(folder)[0] if episode.complete}


def _system(args: argparse.Namespace) -> System:
    system = simulation_system(
        {"suite": args.suite, "task": args.tasks[0], "policy": args.policy, "autorun": False}
    )
    collecting = system.with_parameters(
        "policy",
        activations_folder=str(args.folder.absolute()),
        activations_sites=tuple(args.sites),
        activations_pooling=args.pooling,
    ).with_parameters("bridge", execute_steps=args.every)
    needed = tuple(node for node in collecting.nodes if node.name in ("policy", "bridge"))
    return replace(collecting, nodes=needed)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
