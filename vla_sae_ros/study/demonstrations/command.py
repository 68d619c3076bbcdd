"""`vla-sae demos`: what to demonstrate, as the command line says it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.parameters import MAP_HELP
from vla_sae_ros.sim.environment import Layout
from vla_sae_ros.sim.expert import check_task, refusal
from vla_sae_ros.sim.suites import (
    STANDARD_SUITES,
    find_task,
    other_targets,
    suite_tasks,
    target_and_goal,
)
from vla_sae_ros.study.demonstrations.scripted import (
    PICTURE_STRIDE,
    EpisodePlan,
    SceneTargets,
    make_demonstrations,
    plan_episodes,
    task_of,
)

EVERY_OBJECT = "all"


def parse_scene(text: str, suite: str = "libero_object") -> SceneTargets:
    """Parse "0:alphabet_soup_1,butter_1" or "0:all", every object that the scene can ask for.

    Raises ConfigurationError when it reads otherwise.
    """
    index, _, targets = text.partition(":")
    if not index.isdigit() or not targets:
        raise ConfigurationError(
            complaint(
                "A scene cannot be read",
                text,
                "<task index>:<object>,<object>... or <task index>:all",
            )
        )
    if targets == EVERY_OBJECT:
        task = find_task(suite, int(index))
        names = (target_and_goal(task)[0], *other_targets(task))
    else:
        names = tuple(targets.split(","))
    scene = SceneTargets(int(index), names, suite)
    for target in scene.targets:
        check_task(task_of(EpisodePlan(scene.task_index, target, 0, 0, Layout(), suite)))
    return scene


def scenes_of(suite: str, texts: Sequence[str]) -> list[SceneTargets]:
    """Return the scenes to teach: those named, else the suite's own tasks that the expert can do.

    Raises ConfigurationError for a suite of LIBERO-PRO, which is for evaluation only.
    """
    if suite not in STANDARD_SUITES:
        raise ConfigurationError(
            complaint(
                "A suite is not for training",
                suite,
                ", ".join(STANDARD_SUITES),
                "LIBERO-PRO's suites are for evaluation only (vla-sae rollout --suite).",
            )
        )
    if texts:
        return [parse_scene(text, suite) for text in texts]
    if suite == "libero_object":
        return [parse_scene(f"{task.task_index}:{EVERY_OBJECT}") for task in suite_tasks(suite)]
    scenes = [
        SceneTargets(task.task_index, (target_and_goal(task)[0],), suite)
        for task in suite_tasks(suite)
        if refusal(task) is None
    ]
    if not scenes:
        check_task(find_task(suite, 0))
    return scenes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `vla-sae demos`."""
    parser.add_argument(
        "--lerobot",
        type=Path,
        metavar="FOLDER",
        help="write all demonstrations of --out as a LeRobotDataset, too",
    )
    parser.add_argument(
        "--picture-every",
        type=int,
        default=PICTURE_STRIDE,
        metavar="STEPS",
        help="control steps between pictures; rendering takes most of the time; 1 makes a data set "
        "at the control rate; default %(default)s",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the demonstrations")
    parser.add_argument("--suite", default="libero_object", help="default %(default)s")
    parser.add_argument(
        "--rounds",
        type=int,
        default=30,
        help="episodes per scene and target, or files of 50 stills per scene",
    )
    parser.add_argument(
        "--first-seed",
        type=int,
        default=0,
        help="seed of the first episode or file of stills; each further one adds one; default 0",
    )
    parser.add_argument(
        "--scene",
        action="append",
        metavar="TASK:OBJECT,...",
        help="repeatable; TASK:all is every object of the scene; default: every scene and object "
        "of libero_object, in another suite every task that the expert can do",
    )
    parser.add_argument(
        "--move",
        type=float,
        default=0.04,
        metavar="METRES",
        help="move every object by up to this distance in x and y; default %(default)s",
    )
    parser.add_argument(
        "--shuffle",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of episodes in which all objects except the basket change places",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--policy",
        type=Path,
        help="let this policy and the expert act in turns (DAgger); the labels are the expert's",
    )
    how.add_argument(
        "--stills",
        action="store_true",
        help="make staged pictures instead, each with its own layout",
    )
    parser.add_argument(
        "--map", default="", metavar="OFFERED=POLICY,...", help=f"with --policy: {MAP_HELP}"
    )
    parser.add_argument(
        "--held-out",
        action="store_true",
        help="stills of init states and seeds (from 1,000,000) kept from training",
    )


def run(args: argparse.Namespace) -> int:
    """Make the demonstrations and print how many were solved."""
    if args.picture_every < 1 or (args.policy and args.picture_every != PICTURE_STRIDE):
        raise ConfigurationError(
            complaint(
                "Pictures cannot be taken every so many steps",
                args.picture_every,
                f"1 or more, and {PICTURE_STRIDE} with --policy",
            )
        )
    scenes = scenes_of(args.suite, args.scene or ())
    if args.held_out and not args.stills:
        raise ConfigurationError("--held-out is about stills; demonstrations are for training.")
    if args.stills:
        return _make_stills(args, scenes)
    if not 0 <= args.shuffle <= 1:
        raise ConfigurationError(complaint("Share of shuffled episodes", args.shuffle, "0 to 1"))
    plans = plan_episodes(
        scenes, args.rounds, args.first_seed, args.move, shuffled_share=args.shuffle
    )
    if args.policy:
        # They bring torch, which scripted ones spare.
        from vla_sae_ros.policy.checkpoints.feature_match import read_map
        from vla_sae_ros.study.demonstrations.dagger import aggregate

        made = aggregate(args.out, args.policy, plans, read_map(args.map))
    else:
        made = make_demonstrations(args.out, plans, args.picture_every)
    if there := len(plans) - len(made):
        print(
            f"{there} of {len(plans)} planned episodes were not made: {args.out} already contains "
            "episodes of their tasks and seeds. --first-seed makes others."
        )
    for target in sorted({info.target for info in made}):
        mine = [info for info in made if info.target == target]
        solved = sum(info.success for info in mine)
        print(f"{target}: {solved} of {len(mine)} were solved")
    if args.lerobot:
        from vla_sae_ros.study.demonstrations.lerobot import export_demonstrations

        written = export_demonstrations(args.out, args.lerobot)
        print(
            f"{written.num_frames} frames of {written.num_episodes} episodes at {written.fps} Hz "
            f"in {args.lerobot}"
        )
    return 0


def _make_stills(args: argparse.Namespace, scenes: Sequence[SceneTargets]) -> int:
    from vla_sae_ros.study.demonstrations.stills import make_stills  # needs the simulator at once

    if args.suite != "libero_object" or args.lerobot:
        raise ConfigurationError(
            complaint(
                "Stills cannot be made so",
                f"--suite {args.suite} --lerobot {args.lerobot}",
                "libero_object, without --lerobot",
            )
        )
    for scene in scenes:
        made = make_stills(args.out, scene, args.rounds, args.first_seed, args.held_out)
        print(f"{made} stills of task {scene.task_index}")
    return 0
