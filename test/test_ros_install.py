"""The package on a ROS installation made by apt, rehearsed: see helpers/ros_install.py."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from domains import take_domain
from patience import PATIENCE, WORK
from ros_install import ROOT, RosInstall

pytestmark = pytest.mark.slow

RUNNER = ROOT / "test" / "helpers" / "launch_commands.py"
NO_OPTIMISATION = {
    "CFLAGS": "-O0",
    "CXXFLAGS": "-O0",
    "MAKEFLAGS": "-j2",
    "UV_COMPILE_BYTECODE": "0",
}
"""Messages and packages are built for a few requests: their speed is not measured here."""


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RosInstall]:
    """A workspace that was cloned, built and given its environment as docs/ros.md says."""
    folder = tmp_path_factory.mktemp("ros")
    install = RosInstall(folder)
    install.install_ros()
    install.clone()
    try:
        for line in lines_for_a_ros_installation():
            install.terminal(line, **NO_OPTIMISATION)
        yield install
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # 90,000 files, most of them shared with a cache


@pytest.fixture(scope="module")
def sourced(install: RosInstall) -> dict[str, str]:
    return install.sourced() | {"ROS_DOMAIN_ID": str(take_domain())}


def lines_for_a_ros_installation() -> list[str]:
    """Return what docs/ros.md says to run in the workspace, once ROS is sourced."""
    text = (ROOT / "docs" / "ros.md").read_text()
    block = re.search(r"<!-- rehearsed -->\n+```bash\n(.*?)```", text, re.DOTALL)
    assert block is not None
    lines = [line for line in block[1].splitlines() if line and not line.startswith("#")]
    # The clone is there, and sourcing belongs to a terminal: RosInstall does both.
    kept = [line for line in lines if not line.startswith(("git clone", "cd ~", "source "))]
    assert kept == [
        "make -C src/vla_sae_ros ros",
        "colcon build --packages-select vla_sae_ros",
    ]
    return kept


def output_of(environment: dict[str, str], *command: str, cwd: Path, status: int = 0) -> str:
    """Run a command as in a terminal that has sourced the workspace; return what it prints."""
    done = subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=WORK
    )
    assert done.returncode == status, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def rendered(environment: dict[str, str], install: RosInstall, *words: str) -> dict[str, dict]:
    listed = output_of(environment, "python3", str(RUNNER), *words, cwd=install.folder)
    return {node["name"]: node for node in json.loads(listed)}


class Started:
    """A node's process, and a thread that reads what it logs."""

    def __init__(self, node: dict, environment: dict[str, str], folder: Path) -> None:
        self.name = node["name"]
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            node["command"],
            env=environment | node["env"] | {"PYTHONUNBUFFERED": "1"},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, words: str) -> None:
        """Wait for a line with these words; at once when the process has ended before."""
        with self._changed:
            self._changed.wait_for(
                lambda: any(words in each for each in self.lines) or self._ended(), PATIENCE
            )
        assert any(words in each for each in self.lines), f"{self.name}:\n" + self.log()

    def packages(self) -> dict[str, str]:
        """Return name -> file of the numpy and rclpy libraries that the process has loaded."""
        maps = Path(f"/proc/{self.process.pid}/maps").read_text()
        found = re.findall(r"(/\S+/(numpy|rclpy)/\S+\.so)$", maps, re.MULTILINE)
        return {package: path for path, package in found}

    def log(self) -> str:
        return "".join(self.lines[-60:])

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            try:
                self.process.wait(PATIENCE / 10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self._reader.join(PATIENCE)

    def _ended(self) -> bool:
        return self.process.poll() is not None and not self._reader.is_alive()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
        self.process.wait()
        with self._changed:
            self._changed.notify_all()


@contextmanager
def running(
    nodes: dict[str, dict], environment: dict[str, str], folder: Path
) -> Iterator[dict[str, Started]]:
    """Start every node; stop all of them at the end."""
    with ExitStack() as stack:
        started = {}
        for name, node in nodes.items():
            started[name] = Started(node, environment, folder)
            stack.callback(started[name].stop)
        yield started


def test_the_system_python_stays_as_apt_made_it(install: RosInstall) -> None:
    program = "import numpy, sys; print(numpy.__version__, sys.prefix == sys.base_prefix)"
    assert install.terminal(f"python3 -c '{program}'").stdout.split() == ["1.26.4", "True"]
    listed = list((install.package / ".venv-ros").glob("lib/python3*/site-packages/*"))
    names = {path.name.split("-")[0].lower() for path in listed}
    assert {"torch", "lerobot"} <= names
    assert not {name for name in names if name.startswith("ros_")} | ({"rclpy"} & names)


def test_make_ros_again_does_nothing_and_another_python_is_refused(install: RosInstall) -> None:
    stamp = install.package / ".venv-ros" / "pyvenv.cfg"
    before = stamp.stat().st_mtime_ns
    install.terminal("make -C src/vla_sae_ros ros")
    assert stamp.stat().st_mtime_ns == before
    done = subprocess.run(
        ["bash", "-c", "make -C src/vla_sae_ros ros SET=panel"],
        cwd=install.workspace,
        env=install.fresh(),
        capture_output=True,
        text=True,
    )
    assert done.returncode and "there is no set 'panel'. Sets: all" in done.stderr


def test_a_sourced_workspace_has_vla_sae_which_finds_the_environment(
    install: RosInstall, sourced: dict[str, str]
) -> None:
    assert shutil.which("vla-sae", path=sourced["PATH"]) == str(
        install.workspace / "install" / "vla_sae_ros" / "bin" / "vla-sae"
    )
    told = output_of(sourced, "vla-sae", "doctor", cwd=install.folder)
    environment = re.search(r"^\S+ +environment +(.*)$", told, re.MULTILINE)
    assert environment is not None and ".venv-ros" in environment[1]
    assert re.search(r"^ok +rclpy +.*opt_ros", told, re.MULTILINE)


def test_an_episode_is_run_steered_and_recorded(
    install: RosInstall, sourced: dict[str, str]
) -> None:
    arguments = (
        "autorun:=false",
        "panel:=true",
        "markers:=true",
        f"record_folder:={install.folder}",
    )
    nodes = rendered(sourced, install, "sim.launch.py", *arguments)

    def tell(*words: str, status: int = 0) -> None:
        output_of(sourced, *words, cwd=install.folder, status=status)

    with running(nodes, sourced, install.folder) as started:
        started["recorder"].wait_for("offers record/start")
        started["policy"].wait_for("serving ")
        started["bridge"].wait_for("offers run_episode")
        for name, node in started.items():
            loaded = node.packages()
            own = "apt" if name in ("recorder", "markers", "panel") else ".venv-ros"
            assert f"/{own}/" in loaded["numpy"], f"{name} has {loaded}"
            assert "/opt_ros/" in loaded["rclpy"]
        tell("vla-sae", "record", "start", "rehearsed")
        tell("vla-sae", "steer", "set", "127", "--site", "expert.1", "--clamp", "2", "--hold")
        tell("vla-sae", "run", "--max-steps", "12", "--seed", "7", status=1)  # too few to succeed
        tell("vla-sae", "steer", "reset")
        tell("vla-sae", "record", "stop")
        for node in started.values():
            assert node.process.poll() is None, f"{node.name}:\n{node.log()}"
    bag = next(path.parent for path in install.folder.glob("**/metadata.yaml"))
    told = output_of(sourced, "vla-sae", "bag", "info", str(bag), cwd=install.folder)
    assert "expert.1" in told and "127" in told


def test_a_robot_bridge_has_franky_in_the_python_of_ros(
    install: RosInstall, sourced: dict[str, str]
) -> None:
    nodes = rendered(
        sourced, install, "droid.launch.py", f"policy:={install.package}/models/demo/policy",
        "mode:=simulated", "record:=false", f"audit_folder:={install.folder}/audit",
    )  # fmt: skip
    with running({"bridge": nodes["bridge"]}, sourced, install.folder) as started:
        started["bridge"].wait_for("the arm is disabled")
        assert "/apt/" in started["bridge"].packages()["numpy"]
    program = "import vla_sae_ros.nodes, franky, numpy; print(franky.__file__, numpy.__version__)"
    found = output_of(sourced, "python3", "-c", program, cwd=install.folder).split()
    assert ".venv-ros/ros-python" in found[0] and found[1] == "1.26.4"


def test_another_environment_is_named_by_an_argument(
    install: RosInstall, sourced: dict[str, str]
) -> None:
    python = install.package / ".venv-ros" / "bin" / "python"
    nodes = rendered(sourced, install, "sim.launch.py", f"policy_python:={python}")
    assert nodes["policy"]["env"] == {"VLA_SAE_POLICY_PYTHON": str(python)}
    assert nodes["recorder"]["env"] == {}
    assert nodes["recorder"]["command"][0] == str(install.python.resolve().with_name("python3"))
