"""`vla-sae robot check`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError, complaint
from vla_sae_ros.core.terminal import plain_console
from vla_sae_ros.robot.check import steps
from vla_sae_ros.robot.check.rehearsal import SLOW, Rehearsal
from vla_sae_ros.robot.check.steps import StepResult
from vla_sae_ros.robot.driver import Driver
from vla_sae_ros.robot.drivers.simulated_driver import SimulatedDriver
from vla_sae_ros.robot.loop.realtime import become_realtime
from vla_sae_ros.robot.settings import RobotSettings
from vla_sae_ros.robot.settings_file import load_robot

LOOPBACK = "127."
"""Where simulated robots live."""
Ask = Callable[[str], bool]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--host", help="address of the robot, e.g. 172.16.0.2")
    where.add_argument("--simulated", action="store_true", help="a dry run without any robot")
    parser.add_argument("--robot", default="panda", help="panda, fr3, or your own .yaml file")
    parser.add_argument(
        "--mode",
        default="joint_impedance",
        help="joint_impedance, joint_velocity or cartesian_velocity",
    )
    parser.add_argument("--no-hand", action="store_true", help="the arm has no Franka hand")
    parser.add_argument(
        "--yes", action="store_true", help="do not ask before each step; for simulated robots"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/robot_check.json"), help="file for the results"
    )


def run(args: argparse.Namespace) -> int:
    """Print the table, write the file; 1 when a step failed or was not taken."""
    if args.yes and not (args.simulated or args.host.startswith(LOOPBACK)):
        raise ConfigurationError(
            complaint(
                "--yes with a robot",
                args.host,
                f"simulated robots, at {LOOPBACK}x.y.z",
                "Leave it out and answer each question beside the arm.",
            )
        )
    settings = load_robot(args.robot)
    driver = _driver(args, settings)
    console = plain_console()
    console.print(f"At most {SLOW:.0%} of your velocity limits. Keep a hand on the stop button.")
    ask: Ask = (lambda _: True) if args.yes else _asked
    findings: list[StepResult] = []
    failure = ""
    try:
        with Rehearsal(driver, settings) as rehearsal:
            for finding in _check(rehearsal, settings, ask, become_realtime()):
                findings.append(finding)
                console.print(f"  {finding.step}: {finding.detail}")
    except VlaSaeError as error:
        failure = str(error)
    _show(console, findings, failure)
    _write(args.out, settings, findings, failure)
    console.print(f"Written to {args.out}")
    return int(bool(failure) or not all(finding.ok for finding in findings))


def _driver(args: argparse.Namespace, settings: RobotSettings) -> Driver:
    if args.simulated:
        return SimulatedDriver(settings.published, settings.reset_pose)
    from vla_sae_ros.robot.drivers.franky_driver import FrankyDriver  # a dry run needs no libfranka

    return FrankyDriver(args.host, settings, args.mode, not args.no_hand)


def _check(
    rehearsal: Rehearsal, settings: RobotSettings, ask: Ask, not_realtime: str
) -> Iterator[StepResult]:
    yield steps.connection(rehearsal, not_realtime)
    standing = steps.place(rehearsal)
    yield standing
    if not (standing.ok and ask("Is that where the arm and its tool are?")):
        yield StepResult("jogs", False, "not taken")
        return
    jogs = []
    for joint in range(settings.joints):
        if not ask(f"Jog joint {joint + 1} by {steps.JOG} rad and back?"):
            yield StepResult(f"joint {joint + 1}", False, "not taken")
            continue
        jogs.append(steps.jog(rehearsal, joint))
        yield jogs[-1]
    yield steps.latency(jogs)
    if not ask("Move joint 1 and stop it on the way?"):
        yield StepResult("stop", False, "not taken")
        return
    yield steps.stop_distance(rehearsal)


def _asked(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _show(console: Console, findings: list[StepResult], failure: str) -> None:
    table, no = Table("step", "", "found"), Text("NO", style="red")
    for finding in findings:
        table.add_row(finding.step, "ok" if finding.ok else no, finding.detail)
    if failure:
        table.add_row("ended", no, failure)
    console.print(table)


def _write(path: Path, settings: RobotSettings, findings: list[StepResult], failure: str) -> None:
    record = {
        "robot": settings.robot,
        "ok": not failure and all(finding.ok for finding in findings),
        "failure": failure,
        "steps": [{"step": f.step, "ok": f.ok, "detail": f.detail, **f.values} for f in findings],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
