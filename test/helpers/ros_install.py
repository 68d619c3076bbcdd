"""A ROS installation as apt makes it, played by the ROS wheels, and a workspace on top of it.

Three things that are apart on Ubuntu stay apart here: the system's Python with apt's numpy and no
ROS wheel (apt/), the ROS prefix (opt_ros/), and the environment that `make ros` makes in a copy of
the sources. What this cannot show: ros2 launch, rqt and apt themselves.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from patience import WORK

ROOT = Path(__file__).parents[2]
APT = Path(__file__).parent / "apt_python.txt"
"""Versions of Ubuntu 24.04 where they differ from requirements.lock."""
ALSO_FROM_APT = (
    *("catkin-pkg", "docutils", "empy", "lark-parser", "packaging", "pyparsing", "python-dateutil"),
    *("pyqt5", "pyqt5-qt5", "pyqt5-sip", "setuptools"),
)
"""Python packages that a ROS desktop installation brings, in the versions of requirements.lock."""
SOURCES = "vla_sae_ros launch config rviz scripts msg srv action models tools requirements"


class RosInstall:
    """The three, below one folder; `environment` is that of a terminal that has sourced them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "apt" / "bin" / "python3"
        self.workspace = folder / "ws"
        self.package = self.workspace / "src" / "vla_sae_ros"
        self._ros = folder / "opt_ros"
        self._tools = folder / "tools"

    def install_ros(self) -> None:
        """What `apt install ros-jazzy-desktop` leaves."""
        blocks = locked_blocks()
        _copy_interpreter(self.folder / "apt")
        wanted = [blocks[name] for name in ALSO_FROM_APT] + [APT.read_text()]
        self._sync("apt.txt", wanted, "--target", _site_packages(self.folder / "apt"))
        (self.folder / "apt/lib/python3.12/EXTERNALLY-MANAGED").write_text("[externally-managed]\n")
        ros = [text for name, text in blocks.items() if name.startswith("ros-")]
        self._sync("ros.txt", ros, "--prefix", self._ros)
        site = _site_packages(self._ros)
        (site / "ros_wheels_bootstrapper.pth").unlink()  # /opt/ros has setup.bash in its place
        libraries = [self._ros / "lib", *site.glob("ros_*.libs")]
        (self._ros / "setup.bash").write_text(
            f"export AMENT_PREFIX_PATH={self._ros} CMAKE_PREFIX_PATH={self._ros}\n"
            f"export PYTHONPATH={site} LD_LIBRARY_PATH={':'.join(map(str, libraries))}\n"
            f"export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3\n"
        )
        self._tools.mkdir()
        for name in ("colcon", "cmake", "ninja", "uv"):
            (self._tools / name).symlink_to(_program(name))

    def clone(self) -> None:
        """What `git clone` puts into the workspace."""
        for name in SOURCES.split():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, self.package / name, ignore=ignored)
        for file in [*ROOT.glob("*.*"), ROOT / "Makefile", ROOT / "LICENSE"]:
            if file.is_file():
                shutil.copy(file, self.package)

    def terminal(self, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run lines of bash in a terminal that has sourced the installation, from the workspace."""
        done = subprocess.run(
            ["bash", "-euc", f"source {self._ros}/setup.bash\ncd {self.workspace}\n{script}"],
            env=self.fresh() | variables,
            capture_output=True,
            text=True,
            timeout=WORK,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def sourced(self) -> dict[str, str]:
        """Return the environment of a terminal that has sourced the workspace, too."""
        listed = self.terminal("set +u; source install/setup.bash; env -0").stdout
        return dict(entry.split("=", 1) for entry in listed.split("\0") if "=" in entry)

    def fresh(self) -> dict[str, str]:
        """Return the environment of a terminal that has sourced nothing."""
        kept = ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", "FASTDDS_BUILTIN_TRANSPORTS")
        caches = ("UV_CACHE_DIR", "XDG_CACHE_HOME", "HTTP_PROXY", "HTTPS_PROXY", "SSL_CERT_FILE")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            **{name: value for name, value in os.environ.items() if name in caches},
            **{
                name: value
                for name, value in os.environ.items()
                if name.startswith(("UV_", "PIP_"))
            },
            "HOME": os.environ["HOME"],
            "PATH": f"{self.python.parent}:{self._tools}:/usr/bin:/bin:/usr/sbin:/sbin",
            "OMP_NUM_THREADS": "1",
            "QT_QPA_PLATFORM": "offscreen",
            "ROS_LOG_DIR": str(self.folder / "ros_log"),
            "XDG_DATA_HOME": str(self.folder / "data"),
        }

    def _sync(self, name: str, blocks: list[str], option: str, target: Path) -> None:
        lock = self.folder / name
        lock.write_text("\n".join(blocks))
        command = [
            str(_program("uv")),
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--require-hashes",
        ]
        command += ["--python", str(self.python), option, str(target), "--requirement", str(lock)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WORK)
        assert done.returncode == 0, done.stderr


def locked_blocks() -> dict[str, str]:
    """Return name -> lines of every package of requirements.lock."""
    blocks = re.split(r"(?m)^(?=[a-z0-9])", (ROOT / "requirements.lock").read_text())
    return {block.split("==")[0].split("[")[0]: block for block in blocks if "==" in block}


def _copy_interpreter(target: Path) -> None:
    """Make an interpreter of its own, no virtual environment, with nothing installed."""
    base = Path(sys._base_executable)  # type: ignore[attr-defined]
    prefix = Path(sys.base_prefix)
    (target / "bin").mkdir(parents=True)
    shutil.copy(base.resolve(), target / "bin" / "python3.12")
    for name in ("python3", "python"):
        (target / "bin" / name).symlink_to("python3.12")
    (target / "include").symlink_to(prefix / "include")
    _site_packages(target).mkdir(parents=True)
    for entry in (prefix / "lib" / "python3.12").iterdir():
        if entry.name not in ("site-packages", "dist-packages", "EXTERNALLY-MANAGED"):
            (target / "lib" / "python3.12" / entry.name).symlink_to(entry)
    for entry in (prefix / "lib").glob("libpython3*"):
        (target / "lib" / entry.name).symlink_to(entry)


def _site_packages(prefix: Path) -> Path:
    return prefix / "lib" / "python3.12" / "site-packages"


def _program(name: str) -> Path:
    """Return a development tool: this environment's, or the uv that `make setup` used."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    return Path(found) if found else ROOT / "build" / "uv" / "bin" / name
