from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vla_sae_ros import cli
from vla_sae_ros.commands import Command
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
        "from vla_sae_ros.cli import main; sys.exit(main(['bag', 'info', 'somewhere']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "vla-sae: this command needs the Python package mcap, which is not installed here. "
        "`make setup` without SET installs every package."
    ]


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
