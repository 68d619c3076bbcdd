"""The command `vla-sae`. A subcommand's module is imported when the subcommand is chosen."""

from __future__ import annotations

import argparse
import os
import select
import sys
from collections.abc import Sequence

from vla_sae_ros.commands import Command, add_commands, by_topic
from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError, bounded
from vla_sae_ros.environment import prepare
from vla_sae_ros.resources import software_version

TOPICS = {
    "Start here": (
        Command(
            "demo",
            "vla_sae_ros.live.demo",
            "run one task with and without steering; writes out/demo/",
        ),
        Command(
            "doctor", "vla_sae_ros.doctor", "check this machine and show how to repair problems"
        ),
        Command("completion", "vla_sae_ros.completion", "shell completion for bash and zsh"),
    ),
    "A running system": (
        Command("up", "vla_sae_ros.live.up", "start a system and stop it with Ctrl-C"),
        Command("panel", "vla_sae_ros.panel.app", "open the slider panel for a running system"),
        Command("run", "vla_sae_ros.clients.run", "run one episode in a running system"),
        Command("steer", "vla_sae_ros.clients.steer", "change features of a running system"),
        Command(
            "tell",
            "vla_sae_ros.clients.tell",
            "give another instruction in the middle of an episode",
        ),
        Command("record", "vla_sae_ros.clients.record", "start or stop a bag in a running system"),
        Command(
            "bag",
            "vla_sae_ros.study.bag_commands.verbs",
            "contents of a bag; export, repair, plots, replay",
        ),
        Command(
            "notes",
            "vla_sae_ros.sae.notes_command",
            "show labels and notes that were given in the panel",
        ),
    ),
    "A robot": (
        Command("robot", "vla_sae_ros.robot.check.robot_command", "check an arm without a policy"),
    ),
    "Policies": (
        Command(
            "sites",
            "vla_sae_ros.policy.sites_command",
            "list the sites at which a policy can be read and steered",
        ),
        Command(
            "rollout",
            "vla_sae_ros.study.rollouts.rollout",
            "measure a policy's success, without ROS",
        ),
        Command(
            "contract",
            "vla_sae_ros.sim.contract_command",
            "print the contract of an environment: observations and actions as topics",
        ),
        Command(
            "demos",
            "vla_sae_ros.study.demonstrations.command",
            "make scripted LIBERO demonstrations",
        ),
        Command(
            "train-policy",
            "vla_sae_ros.study.policy_training.train_policy",
            "train a policy from demonstrations",
        ),
        Command(
            "export",
            "vla_sae_ros.policy.export.command",
            "export a policy with its SAEs for ONNX Runtime",
        ),
    ),
    "Features": (
        Command(
            "collect", "vla_sae_ros.study.collection.collect", "collect a policy's activations"
        ),
        Command(
            "train-sae", "vla_sae_ros.study.autoencoders.train_sae", "train a sparse autoencoder"
        ),
        Command(
            "convert",
            "vla_sae_ros.study.autoencoders.convert_sae",
            "make a bundle from an SAE of another library",
        ),
        Command(
            "direct",
            "vla_sae_ros.study.directions.command",
            "compute mean differences and probes, to steer like features",
        ),
        Command(
            "monitor",
            "vla_sae_ros.study.monitoring.verbs",
            "an alarm with a false-alarm rate, and what it catches",
        ),
        Command(
            "substitute",
            "vla_sae_ros.study.autoencoders.substitute",
            "measure success with an SAE's reconstruction",
        ),
        Command(
            "classify",
            "vla_sae_ros.study.features.generality.classify",
            "classify features as general or memorized",
        ),
        Command(
            "label",
            "vla_sae_ros.study.features.labels.label",
            "name features by the variables that they follow",
        ),
        Command(
            "relate",
            "vla_sae_ros.study.features.relate",
            "which features fire together, in one SAE or in two",
        ),
        Command(
            "heatmaps",
            "vla_sae_ros.study.features.heatmaps",
            "show where in the pictures features are active",
        ),
        Command(
            "report",
            "vla_sae_ros.study.reports.report",
            "write one HTML page about a bundle and its features",
        ),
    ),
    "Steering experiments": (
        Command(
            "screen",
            "vla_sae_ros.study.screen.command",
            "rank features by their effect on the actions",
        ),
        Command("evaluate", "vla_sae_ros.study.experiment.command", "run a steering experiment"),
        Command(
            "verdicts",
            "vla_sae_ros.study.experiment.verdicts_command",
            "show a study's verdicts on features; write them into bundles",
        ),
    ),
}
COMMANDS = tuple(command for commands in TOPICS.values() for command in commands)


CLOSED_PIPE = 141
"""Exit status of a program that SIGPIPE ended."""
_STDOUT = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit status: 1 for a failure, 2 for a wrong request.

    CLOSED_PIPE when nobody reads the output any longer, as after `| head`.
    """
    try:
        try:
            return _run(list(sys.argv[1:] if arguments is None else arguments))
        except ModuleNotFoundError as error:
            return _not_installed(error)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _output_is_closed():
            raise
        return CLOSED_PIPE


def _run(given: Sequence[str]) -> int:
    prepare()
    parser = argparse.ArgumentParser(
        prog="vla-sae",
        description="Live feature steering of vision-language-action policies.",
        epilog=by_topic(TOPICS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {software_version()}")
    add_commands(parser, COMMANDS, given, listed=False)
    parsed = parser.parse_args(given)
    try:
        return int(parsed.run(parsed))
    except VlaSaeError as error:
        print(f"{parsed.prog}: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    except OSError as error:
        if error.filename is None or isinstance(error, BrokenPipeError):
            raise
        name = bounded(os.fsdecode(error.filename), 200)
        print(f"{parsed.prog}: {error.strerror}: {name}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{parsed.prog}: interrupted", file=sys.stderr)
        return 130


def _not_installed(error: ModuleNotFoundError) -> int:
    """Name a package that this installation lacks, as one made with SET=robot or SET=panel may."""
    package = (error.name or "").partition(".")[0]
    if package in ("", __package__):
        raise error
    print(
        f"vla-sae: this command needs the Python package {package}, which is not installed here. "
        "`make setup` without SET installs every package.",
        file=sys.stderr,
    )
    return 2


def _output_is_closed() -> bool:
    """Tell whether the broken pipe is the standard output; if so, what it still holds is let go."""
    output = select.poll()
    output.register(_STDOUT, 0)
    if not any(event & (select.POLLERR | select.POLLHUP) for _, event in output.poll(0)):
        return False
    # The interpreter flushes once more at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
    return True


if __name__ == "__main__":
    sys.exit(main())
