from __future__ import annotations

import argparse
import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vla_sae_ros import cli
from vla_sae_ros.commands import Command, leaves
from vla_sae_ros.resources import software_version
from vla_sae_ros.robot.check import robot_command
from vla_sae_ros.study.bag_commands import verbs as bag
from vla_sae_ros.study.monitoring import verbs as monitor

GROUPS = {"bag": bag.COMMANDS, "monitor": monitor.COMMANDS, "robot": robot_command.COMMANDS}
LEAVES = [leaf for command in cli.COMMANDS for leaf in GROUPS.get(command.name, (command,))]


@pytest.mark.parametrize("command", LEAVES, ids=lambda command: command.name)
def test_every_subcommand_has_a_module_that_keeps_the_agreement(command: Command) -> None:
    spec = importlib.util.find_spec(command.module)
    assert spec is not None and spec.origin is not None, f"{command.module} does not exist"
    tree = ast.parse(Path(spec.origin).read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert [argument.arg for argument in functions["add_arguments"].args.args] == ["parser"]
    assert [argument.arg for argument in functions["run"].args.args] == ["args"]


def test_without_a_subcommand_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([])
    assert end.value.code == 2
    assert "usage: vla-sae" in capsys.readouterr().err


def test_an_unknown_subcommand_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["fly"])
    assert end.value.code == 2
    assert "invalid choice: 'fly'" in capsys.readouterr().err


def test_a_subcommand_may_have_subcommands_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["bag", "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "usage: vla-sae bag" in shown
    assert all(command.summary.split()[0] in shown for command in bag.COMMANDS)


def test_an_error_names_the_whole_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["bag", "info", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("vla-sae bag info: not a complete bag")


def test_a_wrong_argument_is_one_line_and_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["up", "sim", "--task", "third"]) == 2
    complaint = capsys.readouterr().err
    assert complaint == ("vla-sae up: argument 'task': got 'third'; allowed: an integer from 0.\n")


def test_the_help_of_a_system_gives_the_unit_of_a_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["up", "sim", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "timeout of a control step or a picture of the simulator [s] (default: 20.0)" in shown


def test_a_wrong_policy_folder_is_said_before_anything_starts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["up", "sim", "--policy", str(tmp_path)]) == 2
    assert f"not a policy folder: got '{tmp_path}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["sites", "x" * 5000],
        ["bag", "info", "x" * 5000],
        ["report", "x" * 5000, "--out", "page.html"],
        ["evaluate", "x" * 5000],
        ["verdicts", "x" * 5000],
    ],
    ids=lambda command: command[0],
)
def test_a_path_that_the_system_refuses_is_one_line(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(command) in (1, 2)
    told = capsys.readouterr().err
    assert told.startswith("vla-sae") and "too long" in told
    assert told.count("\n") == 1


def test_a_package_that_an_installation_set_lacks_is_named() -> None:
    program = (
        "import sys; sys.modules['mcap'] = None\n"
        "from vla_sae_ros.cli import main; sys.exit(main(['bag', 'info', '.']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "vla-sae: this command needs the Python package mcap, which is not installed here. "
        "`make setup` without SET installs every package."
    ]


@pytest.mark.parametrize("kind", ["msg", "srv", "action"])
def test_messages_that_are_not_built_are_said(kind: str) -> None:
    program = (
        f"import sys; sys.modules['vla_sae_ros.{kind}'] = None\n"
        "from vla_sae_ros.cli import main; sys.exit(main(['steer', 'list']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"the ROS messages are not built here (vla_sae_ros.{kind} is missing)" in done.stderr
    assert "make setup" in done.stderr and "Traceback" not in done.stderr


AT_THE_DOOR = {
    "sites /nope": "There is no policy folder /nope",
    "rollout --policy /nope": "There is no policy folder /nope",
    "collect out --sites a --policy=/nope": "There is no policy folder /nope",
    "collect out --sites a --dataset /nope": "a folder with meta/info.json",
    "collect out --sites a --bag /nope": "the folder of a bag",
    "demos --out out --policy /nope": "There is no policy folder /nope",
    "train-policy --demos /nope --out out": "no such folder",
    "export /nope": "There is no policy folder /nope",
    "train-sae /nope --out out": "/nope is not a folder of activations",
    "convert /nope --policy p --site s --output o": "There is no SAE folder /nope",
    "direct /nope --out out": "/nope is not a folder of activations",
    "monitor fit /nope --out out": "/nope is not a folder of activations",
    "monitor score /nope bag": "no such folder",
    "substitute /nope": "Cannot read /nope/bundle.yaml",
    "classify /nope activations": "Cannot read /nope/bundle.yaml",
    "label /nope activations": "Cannot read /nope/bundle.yaml",
    "relate /nope activations": "Cannot read /nope/bundle.yaml",
    "heatmaps /nope activations": "Cannot read /nope/bundle.yaml",
    "report /nope --out page.html": "no such folder",
    "screen a --effect grip --activations /nope": "/nope is not a folder of activations",
    "evaluate /nope": "no such file",
    "verdicts /nope": "no such folder",
    "notes --into /nope": "Cannot read /nope/bundle.yaml",
    "bag info /nope": "the folder of a bag",
    "bag replay /nope": "the folder of a bag",
    "bag inject /nope": "the folder of a bag",
    "bag plot /nope": "the folder of a bag",
}


def test_a_folder_that_is_not_there_is_told_before_anything_heavy_is_imported() -> None:
    """One process runs them all: what the first imported would be there for the others."""
    program = (
        "import sys; from vla_sae_ros.cli import main\n"
        f"for words in {list(AT_THE_DOOR)!r}:\n"
        "    assert main(words.split()) in (1, 2)\n"
        "    heavy = {'torch', 'lerobot', 'scipy', 'matplotlib', 'mujoco'} & set(sys.modules)\n"
        "    assert not heavy, (words, heavy)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    for line, (words, said) in zip(told, AT_THE_DOOR.items(), strict=True):
        command = " ".join(words.split()[: 2 if words.split()[0] in GROUPS else 1])
        assert line.startswith(f"vla-sae {command}: ") and said in line


OF_A_BAG = {"replay", "inject", "video", "rerun"}
IN_LIBERO = {"demo", "demos", "substitute", "train-sae"}
PAIRING = {"collect", "rollout", "evaluate"} | IN_LIBERO | OF_A_BAG
"""Commands that give a policy what an environment, a data set or a bag shows."""
READING_ITS_OWN = {"sites", "export", "convert", "heatmaps", "screen", "train-policy"}
"""Commands with a policy that see nothing, or what was kept under the policy's own names."""


def test_every_command_that_pairs_a_policy_with_pictures_takes_the_pairs() -> None:
    taking, with_policy = set(), set()
    for words, module in leaves(cli.COMMANDS, "vla-sae"):
        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        names = {action.dest for action in parser._actions}
        command = words.split()[-1]
        taking |= {command} if "map" in names else set()
        with_policy |= {command} if {"policy", "start_from"} & names else set()
    assert taking == PAIRING
    assert with_policy - PAIRING == READING_ITS_OWN


def test_what_is_not_clearly_the_folder_is_left_to_the_command_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["substitute", "--env-tasks", "/nope"])
    assert "the following arguments are required: bundle" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        cli.main(["bag", "info", "/nope", "--help"])
    assert end.value.code == 0


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from vla_sae_ros.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'rclpy', 'numpy', 'PyQt5', 'libero'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "steer" in done.stdout


def test_a_reader_that_goes_away_ends_a_command_quietly() -> None:
    program = (
        "import sys; from vla_sae_ros import cli; from vla_sae_ros.commands import Command\n"
        "cli.COMMANDS += (Command('many', 'many_lines', 'prints more than a pipe holds'),)\n"
        "class Many:\n"
        "    add_arguments = staticmethod(lambda parser: None)\n"
        "    run = staticmethod(lambda args: print('line\\n' * 100_000) or 0)\n"
        "sys.modules['many_lines'] = Many\n"
        "sys.exit(cli.main(['many']))"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        complaint = running.stderr.read().decode()
        running.wait()
    assert (running.returncode, complaint) == (cli.CLOSED_PIPE, "")


def test_another_broken_pipe_is_not_taken_for_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose_a_worker(_given: object) -> int:
        raise BrokenPipeError("worker")

    monkeypatch.setattr(cli, "_run", lose_a_worker)
    with pytest.raises(BrokenPipeError, match="worker"):
        cli.main([])


def test_help_lists_every_command_once_under_a_topic(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    for topic, commands in cli.TOPICS.items():
        part = shown.split(f"{topic}:\n")[1].split("\n\n")[0]
        assert [line.split()[0] for line in part.splitlines()] == [c.name for c in commands]
    for command in cli.COMMANDS:
        assert len(re.findall(rf"^  {command.name} +\S", shown, re.MULTILINE)) == 1


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"vla-sae {software_version()}\n"
