"""`vla-sae demo`: one task twice from the same state and seed, plain and steered."""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from rich.progress import Progress

from vla_sae_ros.action import RunEpisode
from vla_sae_ros.bags.episode_trace import EpisodeTrace
from vla_sae_ros.bags.reading import Bag, read_bag
from vla_sae_ros.clients.client import Client
from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.core.parameters import MAP_HELP
from vla_sae_ros.core.progress import CommandProgress
from vla_sae_ros.core.steering import format_preset
from vla_sae_ros.core.terminal import plain_console
from vla_sae_ros.environment import keep_to_this_machine
from vla_sae_ros.live.demo_settings import DemoSettings, read_demo_settings
from vla_sae_ros.live.driving import drive
from vla_sae_ros.resources import resource
from vla_sae_ros.study.plots.episode_video import write_comparison_video
from vla_sae_ros.study.plots.traces_plot import write_traces_plot
from vla_sae_ros.systems.simulation import simulation_system

SUMMARY, VIDEO, PLOT, BAG, LOGS = "summary.json", "video.mp4", "traces.png", "bag", "log"
OWN_FILES = {SUMMARY, VIDEO, PLOT, BAG, LOGS, f"{BAG}_csv", f"{BAG}_parquet"}
"""The last two: where `vla-sae bag export` puts the tables of this bag."""


@dataclass(frozen=True)
class Rollouts:
    """The two episodes as the bridge reported them."""

    plain: RunEpisode.Result
    steered: RunEpisode.Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `vla-sae demo`."""
    parser.add_argument(
        "--output", type=Path, default=Path("out/demo"), help="folder for the results"
    )
    parser.add_argument(
        "--settings", type=Path, help="settings file; default: the package's config/demo.yaml"
    )
    parser.add_argument(
        "--policy", default="", help="folder of another policy; its bundles are beside it in sae/"
    )
    parser.add_argument("--map", default="", metavar="OFFERED=POLICY,...", help=MAP_HELP)
    parser.add_argument(
        "--task", type=int, help="another task of the suite; default: the settings' own"
    )
    parser.add_argument(
        "--panel",
        choices=("auto", "yes", "no"),
        default="auto",
        help="open the panel; auto: when there is a screen",
    )


def run(args: argparse.Namespace) -> int:
    """Run the demonstration and return the exit status."""
    settings = read_demo_settings(args.settings or resource("config", "demo.yaml"))
    if args.task is not None:
        settings = replace(settings, task=args.task)
    output = _emptied(args.output)
    with CommandProgress() as progress:
        rollouts = _roll_out(settings, args, output, progress)
        bag = _timed(progress, "reading the bag", lambda: read_bag(output / BAG))
        plain, steered = _episodes(bag, rollouts)
        _draw(output, bag, plain, steered, progress)
    summary = _summary(settings, rollouts, (plain, steered), output)
    (output / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    _explain(settings, summary, output)
    return 0


def _roll_out(
    settings: DemoSettings, args: argparse.Namespace, output: Path, progress: Progress
) -> Rollouts:
    system = simulation_system(
        {
            "suite": settings.suite,
            "task": settings.task,
            "policy": args.policy,
            "map": args.map,
            "autorun": False,
            "panel": _has_screen() if args.panel == "auto" else args.panel == "yes",
        }
    ).with_parameters("bridge", image_rate=settings.image_rate)
    system = system.with_parameters("recorder", any_folder=True)
    starting = progress.add_task("starting policy, bridge and recorder", total=None)

    def script(client: Client) -> Rollouts:
        # However long a busy machine takes: drive ends the wait when a process or the user does.
        client.wait_until_ready(
            math.inf,
            recording=True,
            waiting_for=lambda nodes: progress.update(
                starting, description=f"waiting for {nodes}; Ctrl-C ends it"
            ),
        )
        progress.update(starting, description="policy, bridge, recorder", total=1, completed=1)
        client.start_recording(str((output / BAG).absolute()), images=True)
        plain = _episode(client, settings, "plain rollout", progress)
        client.set_steering(settings.steering.edits)
        steered = _episode(client, settings, "steered rollout", progress)
        client.reset_steering()
        client.stop_recording()
        return Rollouts(plain, steered)

    keep_to_this_machine()
    return drive(system, output / LOGS, "demo", script)


def _episode(
    client: Client, settings: DemoSettings, title: str, progress: Progress
) -> RunEpisode.Result:
    bar = progress.add_task(title, total=None)
    result = client.run_episode(
        settings.suite,
        settings.task,
        settings.init_state,
        settings.seed,
        clock="lockstep",
        on_state=lambda state: progress.update(
            bar, total=state.max_steps or None, completed=state.step
        ),
    )
    progress.update(bar, total=result.steps, completed=result.steps)
    return result


def _episodes(bag: Bag, rollouts: Rollouts) -> tuple[EpisodeTrace, EpisodeTrace]:
    by_id = {episode.episode_id: episode for episode in bag.episodes}
    return by_id[rollouts.plain.episode_id], by_id[rollouts.steered.episode_id]


def _draw(
    output: Path, bag: Bag, plain: EpisodeTrace, steered: EpisodeTrace, progress: Progress
) -> None:
    bar = progress.add_task("drawing the video", total=None)
    write_comparison_video(
        output / VIDEO,
        plain,
        steered,
        bag.catalogues,
        progress=lambda done, total: progress.update(bar, completed=done, total=total),
    )
    _timed(
        progress,
        "drawing the traces",
        lambda: write_traces_plot(output / PLOT, steered, bag.catalogues, plain=plain),
    )


def _summary(
    settings: DemoSettings,
    rollouts: Rollouts,
    episodes: tuple[EpisodeTrace, EpisodeTrace],
    output: Path,
) -> dict[str, Any]:
    plain, steered = episodes
    return {
        "suite": settings.suite,
        "task": settings.task,
        "instruction": plain.instruction,
        "init_state": settings.init_state,
        "seed": settings.seed,
        "plain": _figures(rollouts.plain),
        "steered": _figures(rollouts.steered),
        "steering": yaml.safe_load(format_preset(settings.steering.name, settings.steering.edits)),
        "steered_steps": steered.steering_windows(),
        "features_published": sum(len(s.step) for e in episodes for s in e.features.values()),
        "missed_deadlines": rollouts.plain.missed_deadlines + rollouts.steered.missed_deadlines,
        "bag": str(output / BAG),
        "video": str(output / VIDEO),
        "plot": str(output / PLOT),
    }


def _figures(result: RunEpisode.Result) -> dict[str, Any]:
    return {
        "success": result.success,
        "steps": result.steps,
        "actions_sha256": result.actions_sha256,
        "held_ticks": result.held_ticks,
        "message": result.message,
    }


def _explain(settings: DemoSettings, summary: dict[str, Any], output: Path) -> None:
    console = plain_console()
    plain, steered = summary["plain"], summary["steered"]
    console.print(
        f"\n{summary['instruction']} ({settings.suite} task {settings.task})", style="bold"
    )
    for name, figures in (("plain", plain), ("steered", steered)):
        outcome = "success" if figures["success"] else "no success"
        console.print(f"  {name:8} {outcome} after {figures['steps']} steps")
    first = settings.steering.edits[0]
    run = (
        f"vla-sae run --suite {settings.suite} --task {settings.task} "
        f"--init-state {settings.init_state} --seed {settings.seed}"
    )
    for edit in settings.steering.edits:
        start, end = edit.window
        console.print(
            f"  steered: {edit.mode.name.lower()} feature {edit.feature} of {edit.site} "
            f"at {edit.value:g} ({edit.unit.name.lower()}) from {start:g} s to {end:g} s"
        )
    console.print(
        f"\nLook at\n  {output / VIDEO}   both rollouts and their active features\n"
        f"  {output / PLOT}  feature traces, the steering window shaded\n"
        f"  {output / SUMMARY}  the numbers\n"
        f"  {output / BAG}  the recording: vla-sae bag info {output / BAG}\n"
        "\nThen try\n"
        "  source .venv/bin/activate\n"
        "  vla-sae up sim --no-autorun\n"
        "Leave it running, and in a second terminal run the same episode plain and steered\n"
        "  source .venv/bin/activate\n"
        f"  {run}\n"
        f"  vla-sae steer set {first.feature} --site {first.site} --clamp {first.value:g} "
        "--ramp 0.5 --hold\n"
        f"  {run}\n"
        "  vla-sae steer reset",
        soft_wrap=True,  # a command that is cut across lines cannot be copied
    )


def _emptied(output: Path) -> Path:
    """Return the output folder, emptied of an earlier demonstration's files.

    Raises:
        ConfigurationError: it holds anything else.
    """
    if output.exists():
        foreign = sorted(path.name for path in output.iterdir() if path.name not in OWN_FILES)
        if foreign:
            raise ConfigurationError(
                f"{output} contains files that do not belong to a demonstration "
                f"({', '.join(foreign)}). Move them, or name another folder with --output."
            )
        shutil.rmtree(output)
    output.mkdir(parents=True)
    return output


def _has_screen() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _timed(progress: Progress, title: str, work: Callable[[], Any]) -> Any:
    bar = progress.add_task(title, total=None)
    result = work()
    progress.update(bar, total=1, completed=1)
    return result
