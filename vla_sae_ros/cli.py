"""The command `vla-sae`. A subcommand's module is imported when the subcommand is chosen."""

from __future__ import annotations

import argparse
import os
import select
import sys
from collections.abc import Sequence

from vla_sae_ros.commands import FOLDERS, Command, Read, add_commands, by_topic
from vla_sae_ros.core.errors import ConfigurationError, VlaSaeError, bounded
from vla_sae_ros.environment import prepare
from vla_sae_ros.own_process import own_process
from vla_sae_ros.resources import software_version

POLICY = Read("--policy", FOLDERS, "require_policy")
ACTIVATIONS = Read("--activations", "vla_sae_ros.activations.format", "Collection.load")
OF_THE_BUNDLE = (
    Read(0, FOLDERS, "require_bundle"),
    Read(1, ACTIVATIONS.module, ACTIVATIONS.function),
)
"""A bundle, and activations of its policy."""
INTO = Read("--into", FOLDERS, "require_bundle")

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
            "foxglove",
            "vla_sae_ros.live.foxglove_command",
            "show a running system in Foxglove, without foxglove_bridge",
        ),
        Command(
            "notes",
            "vla_sae_ros.sae.notes_command",
            "show labels and notes that were given in the panel",
            reads=(INTO,),
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
            reads=(Read(0, FOLDERS, "require_policy"),),
        ),
        Command(
            "rollout",
            "vla_sae_ros.study.rollouts.rollout",
            "measure a policy's success, without ROS",
            reads=(POLICY,),
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
            reads=(POLICY,),
        ),
        Command(
            "train-policy",
            "vla_sae_ros.study.policy_training.train_policy",
            "train a policy from demonstrations",
            reads=(
                Read("--demos", FOLDERS, "require_folder"),
                Read("--start-from", FOLDERS, "require_policy"),
            ),
        ),
        Command(
            "export",
            "vla_sae_ros.policy.export.command",
            "export a policy with its SAEs for ONNX Runtime",
            reads=(
                Read(0, FOLDERS, "require_policy"),
                Read("--bundles", FOLDERS, "require_bundle"),
            ),
        ),
    ),
    "Features": (
        Command(
            "collect",
            "vla_sae_ros.study.collection.collect",
            "collect a policy's activations",
            reads=(
                POLICY,
                Read(
                    "--dataset",
                    "vla_sae_ros.study.collection.dataset_description",
                    "offered_features",
                ),
                Read("--bag", FOLDERS, "require_bag"),
            ),
        ),
        Command(
            "train-sae",
            "vla_sae_ros.study.autoencoders.train_sae",
            "train a sparse autoencoder",
            reads=(
                Read(0, ACTIVATIONS.module, ACTIVATIONS.function),
                POLICY,
                Read("--start-from", FOLDERS, "require_bundle"),
            ),
        ),
        Command(
            "convert",
            "vla_sae_ros.study.autoencoders.convert_sae",
            "make a bundle from an SAE of another library",
            reads=(Read(0, FOLDERS, "require_sae"), POLICY, ACTIVATIONS),
        ),
        Command(
            "direct",
            "vla_sae_ros.study.directions.command",
            "compute mean differences and probes, to steer like features",
            reads=(Read(0, ACTIVATIONS.module, ACTIVATIONS.function),),
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
            reads=(Read(0, FOLDERS, "require_bundle"), POLICY),
        ),
        Command(
            "classify",
            "vla_sae_ros.study.features.generality.classify",
            "classify features as general or memorized",
            reads=OF_THE_BUNDLE,
        ),
        Command(
            "label",
            "vla_sae_ros.study.features.labels.label",
            "name features by the variables that they follow",
            reads=OF_THE_BUNDLE,
        ),
        Command(
            "relate",
            "vla_sae_ros.study.features.relate",
            "which features fire together, in one SAE or in two",
            reads=OF_THE_BUNDLE,
        ),
        Command(
            "heatmaps",
            "vla_sae_ros.study.features.heatmaps",
            "show where in the pictures features are active",
            reads=(*OF_THE_BUNDLE, POLICY),
        ),
        Command(
            "report",
            "vla_sae_ros.study.reports.report",
            "write one HTML page about a bundle and its features",
            reads=(Read(0, FOLDERS, "require_folder"), ACTIVATIONS),
        ),
    ),
    "Steering experiments": (
        Command(
            "screen",
            "vla_sae_ros.study.screen.command",
            "rank features by their effect on the actions",
            reads=(ACTIVATIONS, POLICY),
        ),
        Command(
            "evaluate",
            "vla_sae_ros.study.experiment.command",
            "run a steering experiment",
            reads=(Read(0, FOLDERS, "require_file"),),
        ),
        Command(
            "verdicts",
            "vla_sae_ros.study.experiment.verdicts_command",
            "show a study's verdicts on features; write them into bundles",
            reads=(Read(0, FOLDERS, "require_folder"), INTO),
        ),
    ),
}
COMMANDS = tuple(command for commands in TOPICS.values() for command in commands)


CLOSED_PIPE = 141
"""Exit status of a program that SIGPIPE ended."""
_STDOUT = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit status: 1 for a failure, 2 for a wrong request.

    Without `arguments` those of the process, which is then taken to be this command's own.
    CLOSED_PIPE when nobody reads the output any longer, as after `| head`.
    """
    try:
        try:
            if arguments is not None:
                return _run(arguments)
            with own_process():
                return _run(sys.argv[1:])
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
    try:
        add_commands(parser, COMMANDS, given, listed=False)
    except (VlaSaeError, OSError) as error:  # before there is a command
        return _told(getattr(error, "__notes__", [parser.prog])[0], error)
    parsed = parser.parse_args(given)
    try:
        return int(parsed.run(parsed))
    except (VlaSaeError, OSError) as error:
        return _told(parsed.prog, error)
    except KeyboardInterrupt:
        print(f"{parsed.prog}: interrupted", file=sys.stderr)
        return 130


def _told(command: str, error: VlaSaeError | OSError) -> int:
    """Print an error in a line and return the exit status; raises an error that names no file."""
    if isinstance(error, OSError):
        if error.filename is None or isinstance(error, BrokenPipeError):
            raise error
        name = bounded(os.fsdecode(error.filename), 200)
        print(f"{command}: {error.strerror}: {name}", file=sys.stderr)
        return 1
    print(f"{command}: {error}", file=sys.stderr)
    return 2 if isinstance(error, ConfigurationError) else 1


def _not_installed(error: ModuleNotFoundError) -> int:
    """Name a package that this installation lacks, as one made with SET=robot or SET=panel may.

    The ROS messages are missing where they were not built, or are being built.
    """
    module = error.name or ""
    package = module.partition(".")[0]
    if module in (f"{__package__}.{kind}" for kind in ("msg", "srv", "action")):
        print(
            f"vla-sae: the ROS messages are not built here ({module} is missing). Run `make "
            "setup`, or in a ROS workspace `colcon build`. `vla-sae doctor` tells more.",
            file=sys.stderr,
        )
        return 2
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
