"""Importing the simulator leaves neither noise nor a log file at a fixed place."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest
from patience import PATIENCE

from vla_sae_ros.core.errors import ConfigurationError
from vla_sae_ros.sim.quiet import prepare_simulator_imports


def test_importing_the_simulator_prints_nothing_and_opens_no_log_file() -> None:
    program = (
        "import logging, vla_sae_ros.sim.suites\n"
        "handlers = logging.getLogger('robosuite_logs').handlers\n"
        "assert not any(isinstance(h, logging.FileHandler) for h in handlers), handlers\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=os.environ | {"MUJOCO_GL": "osmesa"},
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_logging_module_is_itself_again_afterwards() -> None:
    prepare_simulator_imports()
    assert logging.FileHandler.__module__ == "logging"


def test_an_unusable_gl_backend_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    with pytest.raises(ConfigurationError, match="glfw"):
        prepare_simulator_imports()


def test_another_platform_for_pyopengl_is_refused_before_mujoco_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "egl")
    with pytest.raises(ConfigurationError, match=r"PYOPENGL_PLATFORM.*'egl'; allowed: osmesa"):
        prepare_simulator_imports()
