"""Which Python runs a node where ROS was installed by apt.

PyTorch, lerobot and LIBERO need newer packages than apt has. `make ros` puts them into a virtual
environment, .venv-ros beside the sources. Nodes that import them run there. The other nodes run in
ROS's own Python, and find there what apt does not have (`ros_python_packages`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from vla_sae_ros.core.errors import ConfigurationError, complaint
from vla_sae_ros.core.parameters import Parameter
from vla_sae_ros.resources import made_environment, software_version, source_folder

VARIABLE = "VLA_SAE_POLICY_PYTHON"
"""Environment variable: the interpreter for nodes that import PyTorch, lerobot or LIBERO."""

POLICY_PYTHON = Parameter(
    "policy_python",
    "",
    "Python for the policy node alone, e.g. of OpenVLA's environment; empty = the Python of the "
    "other nodes that import PyTorch",
)
"""The argument of every system."""

IMPORT_LIMIT = 300.0
"""[s] that another Python has to import a node: a first start on a busy machine takes long."""
_TRY = """
import sys
print("Python", sys.version.split()[0], flush=True)
import {module}
from vla_sae_ros.resources import software_version
print("vla_sae_ros", software_version(), flush=True)
"""


def policy_python(environ: Mapping[str, str] = os.environ) -> str:
    """Return the interpreter that has the packages of a policy.

    In this order: the one that VARIABLE names, the active virtual environment's, the one that
    `make ros` made, this one.

    Raises:
        ConfigurationError: VARIABLE names no program.
    """
    if given := environ.get(VARIABLE, ""):
        return checked_python(given, f"environment variable {VARIABLE}")
    if active := environ.get("VIRTUAL_ENV", ""):
        python = Path(active, "bin", "python")
        if python.is_file():
            return str(python)
    made = made_environment()
    return str(made / "bin" / "python") if made else sys.executable


def checked_python(given: str, what: str) -> str:
    """Return `given` as an absolute path; raises ConfigurationError where no program is."""
    path = Path(given).expanduser().absolute()
    if not os.access(path, os.X_OK) or path.is_dir():
        raise ConfigurationError(complaint(what, given, "path of a Python interpreter"))
    return str(path)


def python_of_node(given: str, module: str) -> str:
    """Return the Python that the argument `policy_python` names, once it has imported a node.

    Args:
        given: path of the interpreter.
        module: of the node; what it imports when it starts is imported.

    Raises:
        ConfigurationError: no interpreter, one that cannot import the module, or one that has
            another version of this package.
    """
    what = f"argument '{POLICY_PYTHON.name}'"
    python = checked_python(given, what)
    said, complained = _try_import(python, module, what)
    if not said or not said[0].startswith("Python "):
        raise ConfigurationError(complaint(what, given, "path of a Python interpreter"))
    if not said[-1].startswith("vla_sae_ros "):
        reason = complained[-1] if complained else "it ended without a word"
        raise ConfigurationError(
            complaint(
                what,
                given,
                "a Python that has vla_sae_ros and what it needs",
                f"{said[0]} cannot import {module}: {reason}. {_next_step(said[0], python)}",
            )
        )
    own = f"vla_sae_ros {software_version()}"
    if said[-1] != own:
        next_step = _next_step(said[0], python)
        raise ConfigurationError(
            complaint(f"version in {what} {given}", said[-1], f"{own}, as here", next_step)
        )
    return python


def _next_step(version: str, python: str) -> str:
    """Return how this package gets into that Python, or, beside another version, into a new one.

    version: "Python 3.12.1". ROS's modules are compiled for one minor version of Python.
    """
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version.startswith(f"Python {own}."):
        return f"Install this package there: uv pip install -p {python} {source_folder()}"
    return (
        f"ROS's modules here are for Python {own} only, so this package cannot be installed there. "
        f"Make another environment for the policy: uv venv -p {own} .venv-policy && "
        f"uv pip install -p .venv-policy/bin/python {source_folder()}, and what the policy needs"
    )


def _try_import(python: str, module: str, what: str) -> tuple[list[str], list[str]]:
    """Return the lines that a Python prints and complains when it imports a module."""
    try:
        done = subprocess.run(
            [python, "-c", _TRY.format(module=module)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment_of_another(os.environ),
            timeout=IMPORT_LIMIT,
        )
    except OSError as error:
        raise ConfigurationError(
            complaint(what, python, "path of a Python interpreter", f"{error.strerror}.")
        ) from error
    except subprocess.TimeoutExpired as error:
        allowed = f"a Python that imports {module} within {IMPORT_LIMIT:.0f} s"
        raise ConfigurationError(complaint(what, python, allowed)) from error
    return done.stdout.splitlines(), [line for line in done.stderr.splitlines() if line.strip()]


def environment_of_another(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a process of another Python, which has ROS wheels of its own.

    Where a ROS installation was sourced, it is that one's as well.
    """
    own = ("AMENT_PREFIX_PATH", sys.prefix)
    return {name: value for name, value in environ.items() if (name, value) != own}


def enter_environment() -> None:
    """Go on in the interpreter that has the packages of a policy, unless this is the one.

    For the first lines of a script: the process stays the same, its program is started again.
    """
    if in_virtual_environment() and not os.environ.get(VARIABLE):
        return  # chosen by whoever started this script
    try:
        python = policy_python()
    except ConfigurationError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
    if Path(python) != Path(sys.executable):
        os.execv(python, [python, *sys.argv])


def in_virtual_environment() -> bool:
    """Whether this interpreter is one of a virtual environment."""
    return sys.prefix != sys.base_prefix
