"""The pip and uv side of the package: builds the ROS messages with CMake and installs their tree.

`pip install .` installs messages and Python modules. `pip install -e .` installs the messages only:
the modules are the checkout's. colcon never runs this file, it uses CMakeLists.txt directly.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Distribution, setup
from setuptools.command.build import build

SOURCE = Path(__file__).resolve().parent
BUILD = SOURCE / "build" / "wheel"


def ros_prefix() -> str:
    """Return the prefix that holds ament and the message packages: a ROS install or the wheels'."""
    return os.environ.get("AMENT_PREFIX_PATH") or sys.prefix


def build_tree(with_modules: bool) -> Path:
    """Configure, build and stage the CMake project; return the staged prefix."""
    staged = BUILD / "staged"
    shutil.rmtree(staged, ignore_errors=True)
    prefix = ros_prefix()
    environment = {
        **os.environ,
        "AMENT_PREFIX_PATH": prefix,
        "CMAKE_PREFIX_PATH": prefix,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    configure = [
        "cmake",
        "-S",
        str(SOURCE),
        "-B",
        str(BUILD / "cmake"),
        "-G",
        "Ninja",
        "--log-level=WARNING",
        f"-DCMAKE_INSTALL_PREFIX={staged}",
        f"-DINSTALL_PYTHON_MODULES={'ON' if with_modules else 'OFF'}",
        "-DINSTALL_COMMAND=OFF",
        f"-DPython3_EXECUTABLE={sys.executable}",
        "-DPython3_FIND_VIRTUALENV=ONLY",
        "-DCMAKE_BUILD_TYPE=Release",
        "-DBUILD_TESTING=OFF",
        "-Wno-dev",
    ]
    subprocess.run(configure, env=environment, check=True)
    subprocess.run(["cmake", "--build", str(BUILD / "cmake")], env=environment, check=True)
    install = ["cmake", "--install", str(BUILD / "cmake")]
    subprocess.run(install, env=environment, check=True, stdout=subprocess.DEVNULL)
    if not with_modules:
        # A package without __init__.py never hides the checkout's, which adds it to its own path.
        for init in staged.glob("lib/python*/site-packages/vla_sae_ros/__init__.py"):
            init.unlink()
    return staged


def as_data_files(staged: Path) -> list[tuple[str, list[str]]]:
    """List a staged prefix as (folder relative to the prefix, files), as data_files wants it."""
    folders: dict[str, list[str]] = {}
    for file in sorted(path for path in staged.rglob("*") if path.is_file()):
        folder = file.parent.relative_to(staged).as_posix()
        folders.setdefault(folder, []).append(file.relative_to(SOURCE).as_posix())
    return sorted(folders.items())


class BuildMessages(Command):
    """Build the messages (and, unless editable, stage the modules) with CMake."""

    user_options: ClassVar[list[tuple[str, str | None, str]]] = []
    editable_mode = False  # set by setuptools

    def initialize_options(self) -> None:
        pass

    def finalize_options(self) -> None:
        pass

    def run(self) -> None:
        staged = build_tree(with_modules=not self.editable_mode)
        self.distribution.data_files = as_data_files(staged)
        # The install command was set up before the files existed.
        self.reinitialize_command("install_data", data_files=self.distribution.data_files)


class Build(build):
    """The standard build, and the messages."""

    sub_commands: ClassVar = [*build.sub_commands, ("build_messages", None)]


class BinaryDistribution(Distribution):
    """A distribution whose wheel is for one platform and Python version."""

    def has_ext_modules(self) -> bool:
        return True

    def has_data(self) -> bool:
        """Editable wheels ask by this name (setuptools 77 to 81) whether there are data files."""
        return bool(self.has_data_files())


setup(
    distclass=BinaryDistribution,
    cmdclass={"build": Build, "build_messages": BuildMessages},
    packages=[],
    package_dir={"": "."},  # an editable install puts this folder on sys.path
    data_files=[("share", [])],
)
