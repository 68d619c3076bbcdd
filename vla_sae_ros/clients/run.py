"""`vla-sae run`: run one episode in a running system, with a progress bar."""

from __future__ import annotations

import argparse
import os

from rich.progress import Progress, TaskID

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.clients.client import Client
from vla_sae_ros.core.episode_status import EpisodeStatus
from vla_sae_ros.core.progress import CommandProgress
from vla_sae_ros.msg import EpisodeState


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the fields of a RunEpisode goal."""
    parser.add_argument("--suite", default="libero_object")
    parser.add_argument("--task", type=int, default=0, help="index within the suite")
    parser.add_argument("--init-state", type=int, default=0, help="index of the initial state")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--instruction", default="", help="instruction for the policy; default: the task's own"
    )
    parser.add_argument(
        "--max-steps", type=int, default=0, help="step limit; default: the suite's own limit"
    )
    parser.add_argument("--clock", default="", choices=("lockstep", "realtime", ""))
    parser.add_argument(
        "--robot",
        action="store_true",
        help="on a robot: enable the arm, run --instruction, hold still; the arm "
        "stops when this command ends",
    )
    parser.add_argument(
        "--recover",
        action="store_true",
        help="with --robot: clear a latched stop first; look at the arm before you use this",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        metavar="S",
        help="cancel after this many seconds (default 600)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the episode; return 0 when the task succeeded, 1 when not. Ctrl-C cancels it.

    On a robot, which has no success condition of its own, 0 when it ran to its step limit.
    """
    with Client(f"run_{os.getpid()}") as client:
        result = _run_episode(client, args)
        # Told before the client leaves the graph, where Fast DDS may hang.
        if args.robot:
            print(f"ran {result.steps} steps, to its limit; whether it succeeded is yours to judge")
        else:
            print(f"{'success' if result.success else 'no success'} after {result.steps} steps")
        print(f"actions_sha256 {result.actions_sha256}")
        print(
            f"missed deadlines {result.missed_deadlines}, held ticks {result.held_ticks}, "
            f"dropped chunks {result.dropped_chunks}"
        )
    return 0 if result.success or args.robot else 1


def _run_episode(client: Client, args: argparse.Namespace) -> RunEpisode.Result:
    suite, task, init_state = (
        ("", -1, -1) if args.robot else (args.suite, args.task, args.init_state)
    )
    with CommandProgress() as progress:
        bar = progress.add_task("waiting for policy and bridge", total=None)
        if args.robot:
            client.wait_until_ready()  # an arm enabled before its policy answers would be stopped
            if args.recover:
                client.recover_robot()
            client.enable_robot()
        progress.update(bar, description="sending the goal")
        try:
            return client.run_episode(
                suite,
                task,
                init_state,
                args.seed,
                args.instruction,
                args.max_steps,
                args.clock,
                args.timeout,
                on_state=lambda state: _show(progress, bar, state),
            )
        finally:
            if args.robot:
                client.disable_robot()


def _show(progress: Progress, bar: TaskID, state: EpisodeState) -> None:
    status = EpisodeStatus(state.status)
    words = {
        EpisodeStatus.RESETTING: "setting up the scene",
        EpisodeStatus.HOLDING: "holding still: no action",
    }.get(status, status.words)
    if status is EpisodeStatus.FAILED and not state.suite:
        words = "at its step limit"  # a robot knows no success of its own
    progress.update(
        bar,
        description=f"{words}: {state.instruction}",
        completed=state.step,
        total=state.max_steps or None,
    )
